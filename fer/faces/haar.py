"""OpenCV's Haar cascade: frontal faces, no points, nothing to download."""

import math
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades

from fer.faces.face import Face
from fer.faces.pool import Pool
from fer.faces.reduce import reduced, usual_view

# scripts/measure_detectors.py, 77 photographs of one face each, most of which it fills: 73 are found with
# these, 61 without the border; `frontalface_alt2` finds no more and takes longer.
_CASCADE = "haarcascade_frontalface_default.xml"
_STEP, _NEIGHBOURS, _SMALLEST = 1.1, 3, 24  # the cascade's own window is 24 pixels
_BORDER = 0.2  # of the longer side: a face is found by what surrounds it, too
# The last stage's weight is 4.6 or more for nine in ten true faces and 0 to 4 for what is none.
_DOUBTFUL, _SLOPE, _MIN_WEIGHT = 3.0, 1.5, 1.0


class Haar:
    """Frontal faces by a cascade of simple features, after Viola & Jones (2001).

    https://doi.org/10.1109/CVPR.2001.990517. May be called from several threads.
    """

    name = "haar"

    def __init__(self) -> None:
        self._cascades = Pool(_load)  # OpenCV's object may not be called from several threads

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of an RGB picture, uint8 ``(H, W, 3)``, the largest first, without points.

        The score is the cascade's last weight, brought between 0 and 1; half is the verge of doubt.
        """
        small, factor = reduced(picture, usual_view(picture))
        border = round(_BORDER * max(small.shape[:2]))
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
        with self._cascades.one() as cascade:
            boxes, _, weights = cascade.detectMultiScale3(
                gray, _STEP, _NEIGHBOURS, minSize=(_SMALLEST, _SMALLEST), outputRejectLevels=True
            )
        pairs = zip(np.reshape(boxes, (-1, 4)), np.ravel(weights), strict=True)
        faces = [_face(box, weight, border, factor) for box, weight in pairs if weight >= _MIN_WEIGHT]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _load() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(haarcascades) / _CASCADE))


def _face(box: np.ndarray, weight: float, border: int, factor: np.ndarray) -> Face:
    left, top, width, height = ((box - [border, border, 0, 0]) * np.tile(factor, 2)).tolist()
    return Face((left, top, width, height), 1 / (1 + math.exp((_DOUBTFUL - weight) / _SLOPE)))
