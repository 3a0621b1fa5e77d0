"""Make the README's pictures: drawn faces, and the plots of a run.

uv run python scripts/readme_pictures.py outputs/train/<date>/<run>
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from fer.analysis.plots import plot_image_grid, save_figure
from fer.data.synthetic import face_at, render_face
from fer.labels import FER7

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"


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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder whose plots are shown")
    arguments = parser.parse_args()
    save_figure(draw_faces(), IMAGES / "synthetic_faces.png")
    for name in ("learning_curves", "confusion_matrix"):
        shutil.copyfile(arguments.run / "plots" / f"{name}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
