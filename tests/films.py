"""Films, a camera and a predictor for tests: a face is a bright square, and its brightness is its emotion."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from fer.faces.face import Face
from fer.labels import LabelSpace
from fer.predict import Prediction

EMOTIONS = ("happy", "sad")
HAPPY, SAD = 250, 150  # gray levels
SIZE, SIDE = (160, 120), 24


def scene(index: int, happy: bool = True, sad: bool = True) -> np.ndarray:
    """Two squares that cross: a happy one goes right, a sad one left and lower."""
    picture = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    if happy:
        picture[20 : 20 + SIDE, 10 + 3 * index : 10 + 3 * index + SIDE] = HAPPY
    if sad:
        picture[70 : 70 + SIDE, 120 - 3 * index : 120 - 3 * index + SIDE] = SAD
    return picture


def write_film(path: Path, pictures: list[np.ndarray], rate: float = 25.0, codec: str = "mp4v") -> Path:
    """Write RGB pictures with OpenCV alone."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture[..., ::-1].copy())
    writer.release()
    return path


def read_film(path: Path) -> tuple[list[np.ndarray], float]:
    """Read RGB pictures and the rate with OpenCV alone."""
    capture, pictures = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        pictures.append(read[1][..., ::-1])
    return pictures, capture.get(cv2.CAP_PROP_FPS)


class SquareFinder:
    """A predictor that finds bright squares."""

    def __init__(self, threads: int = 1, abstain_below: float | None = None) -> None:
        self.threads = threads
        self.card = SimpleNamespace(labels=LabelSpace("two", EMOTIONS), abstain_below=abstain_below)
        self.calls = 0

    def find(self, picture: np.ndarray) -> list[Face]:
        self.calls += 1
        mask = (picture.max(2) > 90).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(mask)
        found = [
            Face(tuple(float(v) for v in boxes[i, :4]), 0.9) for i in range(1, count) if boxes[i, 4] > 200
        ]
        return sorted(found, key=lambda face: face.box[1])

    def classify(self, picture: np.ndarray, faces: list[Face]) -> list[Prediction]:
        return [self._judge(picture, face) for face in faces]

    def _judge(self, picture: np.ndarray, face: Face) -> Prediction:
        left, top, width, height = (int(value) for value in face.box)
        gray = picture[top + height // 2, left + width // 2].mean()
        share = 0.9 if gray > (HAPPY + SAD) / 2 else 0.2
        probabilities = {"happy": share, "sad": 1 - share}
        label = max(probabilities, key=probabilities.__getitem__)
        return Prediction(face, probabilities, label, probabilities[label], False)


@dataclass
class FakeCamera:
    """Stands in for ``cv2.VideoCapture``; opens no file, and gives this many pictures."""

    pictures: int
    rate: float = 30.0
    given: int = 0
    released: bool = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.pictures > 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.given += 1
        return (True, scene(self.given % 20)) if self.given <= self.pictures else (False, None)

    def get(self, what: int) -> float:
        return self.rate if what == cv2.CAP_PROP_FPS else 0.0

    def set(self, what: int, value: float) -> bool:
        return True

    def release(self) -> None:
        self.released = True
