"""The result type and the interface of face detectors."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face. Coordinates are measured from the top left corner of the top left pixel.

    Attributes:
        box: Left, top, width, height in pixels; it may extend beyond the image.
        score: Confidence of the detector, 0 to 1.
        points: Five landmarks, float32 ``(5, 2)``, x and y in pixels: right eye, left eye, nose tip, right
            and left mouth corner (right is the person's right); None if the detector has no landmarks.
    """

    box: tuple[float, float, float, float]
    score: float
    points: np.ndarray | None = None


class Detector(Protocol):
    """Interface of a face detector. It may be called from several threads at once."""

    name: str

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first."""
        ...
