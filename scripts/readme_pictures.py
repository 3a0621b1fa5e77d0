"""Create the images of the docs: synthetic faces, predictions on them, plots of a run, part of a report.

uv run python scripts/readme_pictures.py outputs/train/<date>/<run> --report <synthetic run>/report/val
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from fer import Predictor
from fer.analysis.plots.images import plot_image_grid
from fer.analysis.plots.style import save_figure
from fer.core.labels import FER7
from fer.data.synthetic import face_at, render_face
from fer.predict.annotate import draw

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)


def plot_faces(per_emotion=2, size=128):
    """Plot a few synthetic faces of each emotion, one column per emotion."""
    by_emotion = {emotion: [] for emotion in range(len(FER7))}
    position = 0
    while any(len(faces) < per_emotion for faces in by_emotion.values()):
        parameters, emotion = face_at(seed=5, split=0, position=position, difficulty=0.5)
        if len(by_emotion[emotion]) < per_emotion:
            by_emotion[emotion].append(render_face(parameters, size)[0])
        position += 1
    faces = [by_emotion[emotion][row] for row in range(per_emotion) for emotion in by_emotion]
    titles = [*FER7.names, *[""] * (len(faces) - len(FER7))]
    return plot_image_grid(np.stack(faces), titles, len(FER7), "Synthetic faces, rendered from parameters")


def predict_faces(positions=(7, 13, 146, 0), size=256, margin=24):
    """Return synthetic faces side by side, annotated by the model of the package."""
    faces = [render_face(face_at(5, 0, position, difficulty=0.3)[0], size)[0] for position in positions]
    canvas = np.full((size + 2 * margin, len(faces) * (size + margin) + margin, 3), 236, np.uint8)
    for i, face in enumerate(faces):
        left = margin + i * (size + margin)
        canvas[margin : margin + size, left : left + size] = face
    return draw(canvas, Predictor()(canvas), bars=True)


def screenshot_report(folder, target, width=1280, height=1660):
    """Write a screenshot of the top of a report, which must show synthetic faces only."""
    data = json.loads((folder / "metrics.json").read_text())["about"]["data"]
    if not data.startswith("synthetic"):
        raise SystemExit(f"{folder}: expected a report on synthetic faces, got one on {data}.")
    with tempfile.TemporaryDirectory() as profile:
        options = (f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={target}")
        page = (folder / "index.html").resolve().as_uri()
        subprocess.run(["chromium", *CHROMIUM_OPTIONS, *options, page], check=True, capture_output=True)
    Image.open(target).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder whose plots are copied")
    parser.add_argument("--report", type=Path, help="folder of a report on synthetic faces")
    arguments = parser.parse_args()
    save_figure(plot_faces(), IMAGES / "synthetic_faces.png")
    Image.fromarray(predict_faces()).save(IMAGES / "predicted.png", optimize=True)
    for name in ("learning_curves", "confusion_matrix"):
        shutil.copyfile(arguments.run / "plots" / f"{name}.png", IMAGES / f"{name}.png")
    if arguments.report:
        screenshot_report(arguments.report, IMAGES / "report.png")


if __name__ == "__main__":
    main()
