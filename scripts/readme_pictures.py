"""Make the README's pictures: drawn faces and answers on them, plots of a run, a report as Chromium shows it.

uv run python scripts/readme_pictures.py outputs/train/<date>/<run> --report <run on drawn faces>/report/val
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
from fer.analysis.plots import plot_image_grid, save_figure
from fer.annotate import draw
from fer.data.synthetic import face_at, render_face
from fer.labels import FER7

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)


def draw_faces(per_emotion=2, size=128):
    """Draw a few faces of each emotion, an emotion a column."""
    found = {emotion: [] for emotion in range(len(FER7))}
    position = 0
    while any(len(faces) < per_emotion for faces in found.values()):
        parameters, emotion = face_at(seed=5, split=0, position=position, difficulty=0.5)
        if len(found[emotion]) < per_emotion:
            found[emotion].append(render_face(parameters, size)[0])
        position += 1
    faces = [found[emotion][row] for row in range(per_emotion) for emotion in found]
    titles = [*FER7.names, *[""] * (len(faces) - len(FER7))]
    return plot_image_grid(np.stack(faces), titles, len(FER7), "Synthetic faces, drawn by parameters")


def predict_faces(positions=(7, 13, 146, 0), size=256, margin=24):
    """Let the model that comes with the package name the emotions of drawn faces, side by side."""
    faces = [render_face(face_at(5, 0, position, difficulty=0.3)[0], size)[0] for position in positions]
    scene = np.full((size + 2 * margin, len(faces) * (size + margin) + margin, 3), 236, np.uint8)
    for i, face in enumerate(faces):
        left = margin + i * (size + margin)
        scene[margin : margin + size, left : left + size] = face
    return draw(scene, Predictor()(scene), bars=True)


def shoot_report(folder, target, width=1280, height=1660):
    """Photograph the top of a report; only drawn faces may be shown."""
    data = json.loads((folder / "metrics.json").read_text())["about"]["data"]
    if not data.startswith("synthetic"):
        raise SystemExit(f"{folder}: expected a report on drawn faces, got one on {data}.")
    with tempfile.TemporaryDirectory() as profile:
        where = (f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={target}")
        page = (folder / "index.html").resolve().as_uri()
        subprocess.run(["chromium", *QUIET, *where, page], check=True, capture_output=True)
    Image.open(target).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder whose plots are shown")
    parser.add_argument("--report", type=Path, help="folder of a report on drawn faces")
    arguments = parser.parse_args()
    save_figure(draw_faces(), IMAGES / "synthetic_faces.png")
    Image.fromarray(predict_faces()).save(IMAGES / "predicted.png", optimize=True)
    for name in ("learning_curves", "confusion_matrix"):
        shutil.copyfile(arguments.run / "plots" / f"{name}.png", IMAGES / f"{name}.png")
    if arguments.report:
        shoot_report(arguments.report, IMAGES / "report.png")


if __name__ == "__main__":
    main()
