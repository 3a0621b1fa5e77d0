"""Videos, a camera and a predictor for tests: a face is a bright square whose brightness is the emotion."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from fer.core.labels import LabelSpace
from fer.faces.base import Face
from fer.predict.predictor import Prediction

EMOTIONS = ("happy", "sad")
HAPPY, SAD = 250, 150  # gray levels
SIZE, SIDE = (160, 120), 24


def render_frame(index: int, happy: bool = True, sad: bool = True) -> np.ndarray:
    """Render two squares that cross: a happy one moves right, a sad one moves left and is lower."""
    image = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    if happy:
        image[20 : 20 + SIDE, 10 + 3 * index : 10 + 3 * index + SIDE] = HAPPY
    if sad:
        image[70 : 70 + SIDE, 120 - 3 * index : 120 - 3 * index + SIDE] = SAD
    return image


def write_video(path: Path, images: list[np.ndarray], rate: float = 25.0, codec: str = "mp4v") -> Path:
    """Write RGB images with OpenCV alone."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image[..., ::-1].copy())
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    """Read RGB images and the rate with OpenCV alone."""
    capture, images = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        images.append(read[1][..., ::-1])
    return images, capture.get(cv2.CAP_PROP_FPS)


def read_timeline(path: Path) -> list[SimpleNamespace]:
    """Read a timeline with the standard library alone."""
    with path.open(newline="") as file:
        if path.suffix == ".jsonl":
            return [SimpleNamespace(**json.loads(line)) for line in file]
        return [
            SimpleNamespace(
                frame=int(cells["frame"]),
                probabilities={name: float(cells[name]) for name in EMOTIONS},
            )
            for cells in csv.DictReader(file)
        ]


class SquarePredictor:
    """A predictor that detects bright squares."""

    def __init__(self, threads: int = 1, abstain_below: float | None = None) -> None:
        self.threads = threads
        self.card = SimpleNamespace(labels=LabelSpace("two", EMOTIONS), uncertain_below=abstain_below)
        self.uncertain_below = abstain_below
        self.detector = None
        self.calls = 0

    def detect(self, image: np.ndarray) -> list[Face]:
        self.calls += 1
        mask = (image.max(2) > 90).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(mask)
        faces = [
            Face(tuple(float(v) for v in boxes[i, :4]), 0.9) for i in range(1, count) if boxes[i, 4] > 200
        ]
        return sorted(faces, key=lambda face: face.box[1])

    def classify(self, image: np.ndarray, faces: list[Face]) -> list[Prediction]:
        return [self._predict(image, face) for face in faces]

    def _predict(self, image: np.ndarray, face: Face) -> Prediction:
        left, top, width, height = (int(value) for value in face.box)
        gray = image[top + height // 2, left + width // 2].mean()
        happy = 0.9 if gray > (HAPPY + SAD) / 2 else 0.2
        probabilities = {"happy": happy, "sad": 1 - happy}
        label = max(probabilities, key=probabilities.__getitem__)
        return Prediction(face, probabilities, label, probabilities[label], False)


@dataclass
class FakeCamera:
    """Replaces ``cv2.VideoCapture`` with a camera that gives this many images."""

    images: int
    rate: float = 30.0
    reads: int = 0
    released: bool = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.images > 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.reads += 1
        return (True, render_frame(self.reads % 20)) if self.reads <= self.images else (False, None)

    def get(self, what: int) -> float:
        return self.rate if what == cv2.CAP_PROP_FPS else 0.0

    def set(self, what: int, value: float) -> bool:
        return True

    def release(self) -> None:
        self.released = True
