"""Prediction on one image, with face crops and an image for display; the gallery of synthetic images."""

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from fer.app.settings import MAX_DISPLAY_SIDE, MAX_FACES_PER_IMAGE
from fer.app.uploads import display_name
from fer.data.synthetic import face_at, render_face
from fer.faces.base import downscale, in_reading_order, scale_face
from fer.predict.predictor import Prediction, Predictor

# Side of a face in an image of the gallery, and of a thumbnail, in pixels.
_FACE_SIZE, _THUMBNAIL_SIZE = 320, 96
# Background around each face, in pixels: detectors need some.
_MARGIN = 40
# Gray level.
_BACKGROUND = 226


class Sample(NamedTuple):
    """A synthetic image: its expression or content, and each face's seed and position, see `face_at`."""

    title: str
    faces: tuple[tuple[int, int], ...]


SAMPLES = (
    Sample("happy", ((5, 7),)),
    Sample("surprise", ((11, 119),)),
    Sample("angry", ((11, 5),)),
    Sample("sad", ((5, 92),)),
    Sample("fear", ((11, 143),)),
    Sample("disgust", ((5, 0),)),
    Sample("neutral", ((5, 146),)),
    Sample("three faces", ((5, 31), (5, 70), (11, 97))),
)


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


@cache
def render_sample(sample: Sample) -> np.ndarray:
    """Return the image of a sample, uint8 RGB ``(H, W, 3)``; Haar and YuNet detect all of its faces."""
    faces = [_render_face(seed, position, _FACE_SIZE) for seed, position in sample.faces]
    height, width = _FACE_SIZE + 2 * _MARGIN, len(faces) * (_FACE_SIZE + _MARGIN) + _MARGIN
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for number, face in enumerate(faces):
        left = _MARGIN + number * (_FACE_SIZE + _MARGIN)
        image[_MARGIN : _MARGIN + _FACE_SIZE, left : left + _FACE_SIZE] = face
    return image


@cache
def render_thumbnail(sample: Sample) -> np.ndarray:
    """Return a thumbnail of a sample, uint8 RGB ``(96, 96, 3)``, with a vertical strip of each face."""
    faces = [_render_face(seed, position, _THUMBNAIL_SIZE) for seed, position in sample.faces]
    width = _THUMBNAIL_SIZE // len(faces)
    start = (_THUMBNAIL_SIZE - width) // 2
    return np.hstack([face[:, start : start + width] for face in faces])


def _render_face(seed: int, position: int, size: int) -> np.ndarray:
    parameters, _ = face_at(seed, 0, position, difficulty=0.3 if seed == 5 else 0.2)
    return render_face(parameters, size)[0]
