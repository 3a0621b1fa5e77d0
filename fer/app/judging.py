"""Prediction on an uploaded image: predictions, face crops, and a reduced image for display."""

import time
from dataclasses import dataclass, replace

import numpy as np

from fer.app.intake import display_name
from fer.app.limits import MAX_DISPLAY_SIDE, MAX_FACES_PER_IMAGE
from fer.faces.face import Face
from fer.faces.reduce import downscale
from fer.predict import Predictor
from fer.prediction import Prediction


@dataclass(frozen=True, eq=False)
class ImageAnalysis:
    """Predictions on the faces of an image, with what the page displays of it.

    Attributes:
        name: File name as returned by `display_name`.
        size: Width and height in pixels.
        predictions: Faces from left to right; coordinates in pixels of the original image.
        crops: The faces as the model sees them, uint8 ``(N, S, S, 3)``.
        seconds: Time for detection and classification.
        num_skipped: Number of faces beyond `MAX_FACES_PER_IMAGE`, the smallest, which were not classified.
        display_image: The reduced image, uint8 ``(h, w, 3)``.
        display_predictions: The same predictions; coordinates in pixels of ``display_image``.
    """

    name: str
    size: tuple[int, int]
    predictions: list[Prediction]
    crops: np.ndarray
    seconds: float
    num_skipped: int
    display_image: np.ndarray
    display_predictions: list[Prediction]


def analyse_image(name: str, image: np.ndarray, predictor: Predictor) -> ImageAnalysis:
    """Detect and classify the faces of an image.

    Args:
        name: File name.
        image: RGB, uint8 ``(H, W, 3)``; no reference to it is kept.
        predictor: Detector and model.
    """
    start = time.perf_counter()
    detected = predictor.detect(image)
    faces = sorted(detected[:MAX_FACES_PER_IMAGE], key=lambda face: face.box[0] + face.box[2] / 2)
    crops = predictor.crop(image, faces)
    predictions = predictor.classify_crops(faces, crops)
    seconds = time.perf_counter() - start
    reduced, factor = downscale(image, MAX_DISPLAY_SIDE)
    return ImageAnalysis(
        name=display_name(name),
        size=(image.shape[1], image.shape[0]),
        predictions=predictions,
        crops=crops,
        seconds=seconds,
        num_skipped=len(detected) - len(faces),
        display_image=reduced.copy(),
        display_predictions=[replace(one, face=_scaled(one.face, factor)) for one in predictions],
    )


def _scaled(face: Face, factor: np.ndarray) -> Face:
    left, top, width, height = (np.array(face.box) / np.tile(factor, 2)).tolist()
    points = None if face.points is None else (face.points / factor).astype(np.float32)
    return replace(face, box=(left, top, width, height), points=points)
