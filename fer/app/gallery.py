"""Drawn faces for visitors who have no picture at hand: no real person, nothing to download."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from fer.data.synthetic import face_at, render_face

SIZE, THUMBNAIL = 320, 96  # pixels
_MARGIN = 40  # around a face: a detector looks at what surrounds it, too
_GROUND = 226


@dataclass(frozen=True)
class Sample:
    """A picture of the gallery.

    Attributes:
        title: The expression that was drawn, or what is to be seen.
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
def draw_sample(sample: Sample) -> np.ndarray:
    """Draw a sample, uint8 ``(H, W, 3)`` RGB; its faces are found by Haar's cascade and by YuNet."""
    faces = [_face(seed, position, SIZE) for seed, position in sample.faces]
    height, width = SIZE + 2 * _MARGIN, len(faces) * (SIZE + _MARGIN) + _MARGIN
    scene = np.full((height, width, 3), _GROUND, np.uint8)
    for number, face in enumerate(faces):
        left = _MARGIN + number * (SIZE + _MARGIN)
        scene[_MARGIN : _MARGIN + SIZE, left : left + SIZE] = face
    return scene


@cache
def draw_thumbnail(sample: Sample) -> np.ndarray:
    """Draw a sample small, uint8 ``(96, 96, 3)`` RGB; of several faces a part of each."""
    faces = [_face(seed, position, THUMBNAIL) for seed, position in sample.faces]
    wide = THUMBNAIL // len(faces)
    start = (THUMBNAIL - wide) // 2
    return np.hstack([face[:, start : start + wide] for face in faces])


def _face(seed: int, position: int, size: int) -> np.ndarray:
    parameters, _ = face_at(seed, 0, position, difficulty=0.3 if seed == 5 else 0.2)
    return render_face(parameters, size)[0]
