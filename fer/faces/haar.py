"""OpenCV's Haar cascade: frontal faces, no landmarks, no download."""

import math
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades

from fer.faces.face import Face
from fer.faces.pool import ObjectPool
from fer.faces.reduce import detection_size, downscale

# Measured by scripts/measure_detectors.py on 77 photographs, each mostly filled by one face: 73 are detected
# with these settings, 61 without the border. `frontalface_alt2` detects no more and is slower.
_CASCADE = "haarcascade_frontalface_default.xml"
# The cascade's window is 24 pixels.
_SCALE_FACTOR, _MIN_NEIGHBORS, _HAAR_MIN_FACE = 1.1, 3, 24
# Fraction of the longer side. The cascade also uses the surroundings of a face.
_HAAR_BORDER = 0.2
# The last stage's weight is 4.6 or more for nine in ten true faces, and 0 to 4 for false detections.
_WEIGHT_AT_HALF, _WEIGHT_SLOPE, _MIN_WEIGHT = 3.0, 1.5, 1.0


class Haar:
    """Detector of frontal faces by a cascade of Haar features (Viola & Jones 2001).

    https://doi.org/10.1109/CVPR.2001.990517. It may be called from several threads.
    """

    name = "haar"

    def __init__(self) -> None:
        # OpenCV's object must not be called from several threads.
        self._cascades = ObjectPool(_load_cascade)

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first, without landmarks.

        The score is a sigmoid of the last stage's weight, 0.5 at a weight of 3.
        """
        small, factor = downscale(image, detection_size(image))
        border = round(_HAAR_BORDER * max(small.shape[:2]))
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
        with self._cascades.borrow() as cascade:
            boxes, _, weights = cascade.detectMultiScale3(
                gray,
                _SCALE_FACTOR,
                _MIN_NEIGHBORS,
                minSize=(_HAAR_MIN_FACE, _HAAR_MIN_FACE),
                outputRejectLevels=True,
            )
        pairs = zip(np.reshape(boxes, (-1, 4)), np.ravel(weights), strict=True)
        faces = [_haar_face(box, weight, border, factor) for box, weight in pairs if weight >= _MIN_WEIGHT]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _load_cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(haarcascades) / _CASCADE))


def _haar_face(box: np.ndarray, weight: float, border: int, factor: np.ndarray) -> Face:
    left, top, width, height = ((box - [border, border, 0, 0]) * np.tile(factor, 2)).tolist()
    return Face((left, top, width, height), 1 / (1 + math.exp((_WEIGHT_AT_HALF - weight) / _WEIGHT_SLOPE)))
