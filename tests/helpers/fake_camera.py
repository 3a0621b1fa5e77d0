"""Synthetic camera frames: rendered faces on a wall that move slightly from side to side.

The model of the package classifies these faces correctly with the Haar and YuNet detectors, mirrored or not:
happy with a probability of at least 93 %, surprise with at least 95 %.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fer.data.synthetic import face_at, render_face

SEED, SPLIT = 7, 0
POSITIONS = {"happy": 125, "surprise": 100}
WIDTH, HEIGHT = 640, 480
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]


@cache
def face(emotion: str, size: int) -> np.ndarray:
    """Return an easy RGB face that shows this emotion."""
    parameters, _ = face_at(SEED, SPLIT, POSITIONS[emotion], difficulty=0.0)
    return render_face(parameters, size)[0]


def view(index: int, *emotions: str) -> np.ndarray:
    """Return a camera frame with faces side by side, as large as they fit."""
    frame = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    size = min(300, WIDTH // max(1, len(emotions)) - 20)
    shift = round(8 * np.sin(index / 10))
    for position, emotion in enumerate(emotions):
        left = (2 * position + 1) * WIDTH // (2 * len(emotions)) - size // 2 + shift
        frame[90 : 90 + size, left : left + size] = face(emotion, size)
    return frame


def write_mjpeg(path: Path, *emotions: str, frames: int = 60) -> Path:
    """Write an MJPEG file (concatenated JPEGs) for Chromium's ``--use-file-for-fake-video-capture``."""
    with path.open("wb") as file:
        for index in range(frames):
            encoded, jpeg = cv2.imencode(".jpg", view(index, *emotions)[..., ::-1], _QUALITY)
            assert encoded
            file.write(jpeg.tobytes())
    return path
