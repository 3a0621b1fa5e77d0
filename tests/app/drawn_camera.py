"""What a camera sees in tests: drawn faces on a wall, swaying a little.

The shipped model and Haar's cascade say of these faces what they were drawn to show, mirrored or not and also
with YuNet: happy with 93 % at least, surprise with 95 %.
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
    """An easy face, RGB, that shows this emotion."""
    parameters, _ = face_at(SEED, SPLIT, POSITIONS[emotion], difficulty=0.0)
    return render_face(parameters, size)[0]


def view(index: int, *emotions: str) -> np.ndarray:
    """A picture of the camera: faces side by side, as large as there is room for."""
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    size = min(300, WIDTH // max(1, len(emotions)) - 20)
    sway = round(8 * np.sin(index / 10))
    for place, emotion in enumerate(emotions):
        left = (2 * place + 1) * WIDTH // (2 * len(emotions)) - size // 2 + sway
        picture[90 : 90 + size, left : left + size] = face(emotion, size)
    return picture


def write_mjpeg(path: Path, *emotions: str, frames: int = 60) -> Path:
    """Write what Chromium takes for ``--use-file-for-fake-video-capture``: JPEG files, one after another."""
    with path.open("wb") as file:
        for index in range(frames):
            ready, jpeg = cv2.imencode(".jpg", view(index, *emotions)[..., ::-1], _QUALITY)
            assert ready
            file.write(jpeg.tobytes())
    return path
