"""A face in a picture, and what finds it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """Where a face is, counted from the top left corner of the top left pixel.

    Attributes:
        box: Left, top, width, height in pixels; it may reach over the edge of the picture.
        score: How sure the detector is, 0 to 1.
        points: float32 ``(5, 2)``, x and y in pixels of right eye, left eye, tip of the nose, right and left
            corner of the mouth (the person's own right); None where the detector gives none.
    """

    box: tuple[float, float, float, float]
    score: float
    points: np.ndarray | None = None


class Detector(Protocol):
    """Finds faces. May be called from several threads at once."""

    name: str

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of an RGB picture, uint8 ``(H, W, 3)``, the largest first."""
        ...
