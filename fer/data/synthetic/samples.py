"""A gallery of synthetic images for apps: one per expression, and one with three faces."""

from functools import cache
from typing import NamedTuple

import numpy as np

from fer.data.synthetic.dataset import face_at
from fer.data.synthetic.render import render_face

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
