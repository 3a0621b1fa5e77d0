"""Synthetic faces to try the app with: no real person, nothing to download."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from fer.data.synthetic import face_at, render_face

# In pixels.
SIZE, THUMBNAIL = 320, 96
# Detectors need some background around a face.
_MARGIN = 40
_BACKGROUND = 226


@dataclass(frozen=True)
class Sample:
    """A synthetic image of the gallery.

    Attributes:
        title: The rendered expression, or the content of the image.
        faces: Seed and position of each face, see `fer.data.synthetic.face_at`.
    """

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
    faces = [_face(seed, position, SIZE) for seed, position in sample.faces]
    height, width = SIZE + 2 * _MARGIN, len(faces) * (SIZE + _MARGIN) + _MARGIN
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for number, face in enumerate(faces):
        left = _MARGIN + number * (SIZE + _MARGIN)
        image[_MARGIN : _MARGIN + SIZE, left : left + SIZE] = face
    return image


@cache
def render_thumbnail(sample: Sample) -> np.ndarray:
    """Return a thumbnail of a sample, uint8 RGB ``(96, 96, 3)``, with a vertical strip of each face."""
    faces = [_face(seed, position, THUMBNAIL) for seed, position in sample.faces]
    width = THUMBNAIL // len(faces)
    start = (THUMBNAIL - width) // 2
    return np.hstack([face[:, start : start + width] for face in faces])


def _face(seed: int, position: int, size: int) -> np.ndarray:
    parameters, _ = face_at(seed, 0, position, difficulty=0.3 if seed == 5 else 0.2)
    return render_face(parameters, size)[0]
