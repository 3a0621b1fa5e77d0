"""Prediction on one image, with face crops and an image for display."""

import time
from dataclasses import dataclass, replace

import numpy as np

from fer.app.settings import MAX_DISPLAY_SIDE, MAX_FACES_PER_IMAGE
from fer.app.uploads import display_name
from fer.faces.base import downscale, in_reading_order, scale_face
from fer.predict.predictor import Prediction, Predictor


@dataclass(frozen=True, eq=False)
class ImageAnalysis:
    """Predictions on the faces of an image, with what the page displays of it.

    Attributes:
        name: File name as returned by `display_name`.
        size: Width and height in pixels.
        predictions: Faces by rows from left to right; coordinates in pixels of the original image.
        crops: The faces as the model sees them, uint8 ``(N, S, S, 3)``.
        seconds: Time for detection and classification.
        num_skipped: Number of faces beyond `MAX_FACES_PER_IMAGE`, the smallest, which were not classified.
        display_image: The reduced image, uint8 ``(h, w, 3)``.
        display_predictions: The same predictions; coordinates in pixels of ``display_image``.
        num_frames: Number of images in the file, of which the first is used; more than 1 for an animation.
    """

    name: str
    size: tuple[int, int]
    predictions: list[Prediction]
    crops: np.ndarray
    seconds: float
    num_skipped: int
    display_image: np.ndarray
    display_predictions: list[Prediction]
    num_frames: int = 1


def analyse_image(name: str, image: np.ndarray, predictor: Predictor) -> ImageAnalysis:
    """Detect and classify the faces of an image.

    Args:
        name: File name.
        image: RGB, uint8 ``(H, W, 3)``; no reference to it is kept.
        predictor: Detector and model.
    """
    start = time.perf_counter()
    detected = predictor.find_faces(image)
    faces = in_reading_order(detected[:MAX_FACES_PER_IMAGE])
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
        display_predictions=[
            replace(prediction, face=scale_face(prediction.face, 1 / factor)) for prediction in predictions
        ],
    )
