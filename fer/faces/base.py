"""What all face detectors share: result type, interface, downscaling, and a pool of objects for threads."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np

# Limits of the longer side for detection, in pixels. Detecting a 640 x 480 frame at 320 costs a quarter and
# misses only faces below 40 pixels, which are smaller than a model's input. Photographs are processed at up
# to 640, for crowds.
MIN_DETECTION_SIZE, MAX_DETECTION_SIZE = 320, 640
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face. Coordinates are measured from the top left corner of the top left pixel.

    Attributes:
        box: Left, top, width, height in pixels; it may extend beyond the image.
        score: Confidence of the detector, 0 to 1.
        points: Five landmarks, float32 ``(5, 2)``, x and y in pixels: right eye, left eye, nose tip, right
            and left mouth corner (right is the person's right); None if the detector has no landmarks.
        rotation: Degrees by which the image has to be turned clockwise so that the face is upright: 0, 90,
            180 or 270. Box and points are in the image as it is.
    """

    box: tuple[float, float, float, float]
    score: float
    points: np.ndarray | None = None
    rotation: int = 0


def scale_face(face: Face, factor: np.ndarray) -> Face:
    """Return a face in an image that is larger by these factors of x and y, ``(2,)``."""
    left, top, width, height = (np.array(face.box) * np.tile(factor, 2)).tolist()
    points = None if face.points is None else (face.points * factor).astype(np.float32)
    return replace(face, box=(left, top, width, height), points=points)


def in_reading_order(faces: Sequence[Face]) -> list[Face]:
    """Return faces by rows from top to bottom, and in a row from left to right: the order of their numbers.

    A face is in a row if it shares half of its height, or of that of the first face of the row.
    """
    rows: list[list[Face]] = []
    for face in sorted(faces, key=lambda face: _center(face, 1)):
        if rows and _overlap_in_height(rows[-1][0], face) >= 0.5:
            rows[-1].append(face)
        else:
            rows.append([face])
    return [face for row in rows for face in sorted(row, key=lambda face: _center(face, 0))]


def _center(face: Face, axis: int) -> float:
    return face.box[axis] + face.box[axis + 2] / 2


def _overlap_in_height(first: Face, second: Face) -> float:
    """Return the height that two boxes share, as a fraction of the smaller height."""
    top = max(first.box[1], second.box[1])
    bottom = min(first.box[1] + first.box[3], second.box[1] + second.box[3])
    return (bottom - top) / max(min(first.box[3], second.box[3]), 1e-6)


class Detector(Protocol):
    """Interface of a face detector. It may be called from several threads at once."""

    name: str

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first."""
        ...


def detection_size(image: np.ndarray) -> float:
    """Return the longer side in pixels to which an image ``(H, W, ...)`` is downscaled for detection."""
    return min(max(max(image.shape[:2]) / 2, MIN_DETECTION_SIZE), MAX_DETECTION_SIZE)


def downscale(image: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Downscale an image, by averaging, until its longer side is at most ``longest`` pixels.

    Args:
        image: uint8 ``(H, W, 3)`` or ``(H, W)``.
        longest: In pixels.

    Returns:
        The downscaled image, and the factors from its x and y to those of the original, float64 ``(2,)``.
    """
    height, width = image.shape[:2]
    factor = max(height, width) / longest
    if factor <= 1:
        return image, np.ones(2)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small, np.array([width / size[0], height / size[1]])


class ObjectPool(Generic[T]):
    """A thread-safe pool of objects that only one thread at a time may use. It grows on demand.

    One object per thread would cost more: a web server starts a new thread for every request, and OpenCV's
    detectors take 20 to 80 ms to create.

    Args:
        create: Returns a new object.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._idle: deque[T] = deque()

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """Yield an idle object, the most recently used one, or a new one if all are in use."""
        try:
            item = self._idle.pop()
        except IndexError:
            item = self._create()
        try:
            yield item
        finally:
            self._idle.append(item)
