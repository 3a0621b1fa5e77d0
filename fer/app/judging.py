"""A picture of a visitor, judged, and as much of it kept as the page shows."""

import time
from dataclasses import dataclass, replace

import numpy as np

from fer.app.intake import plain_name
from fer.app.limits import MAX_CROWD, SHOWN_SIDE
from fer.faces.face import Face
from fer.faces.reduce import reduced
from fer.predict import Predictor
from fer.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Judged:
    """The answers on a picture.

    Attributes:
        name: Of its file, as `plain_name` makes it.
        size: Width and height in pixels.
        predictions: On its faces, from left to right, as people count; places in its own pixels.
        cuts: The faces as the model saw them, uint8 ``(N, S, S, 3)``.
        seconds: That finding and judging them took.
        left_out: Faces beyond `MAX_CROWD`, the smallest, which were not judged.
        shown: The picture, made smaller, uint8 ``(h, w, 3)``.
        shown_predictions: The same answers; places in the pixels of ``shown``.
    """

    name: str
    size: tuple[int, int]
    predictions: list[Prediction]
    cuts: np.ndarray
    seconds: float
    left_out: int
    shown: np.ndarray
    shown_predictions: list[Prediction]


def judge(name: str, picture: np.ndarray, predictor: Predictor) -> Judged:
    """Find and judge the faces of a picture.

    Args:
        name: Of its file.
        picture: RGB, uint8 ``(H, W, 3)``; not kept.
        predictor: What does it.
    """
    start = time.perf_counter()
    found = predictor.find(picture)
    faces = sorted(found[:MAX_CROWD], key=lambda face: face.box[0] + face.box[2] / 2)
    cuts = predictor.cut(picture, faces)
    predictions = predictor.judge(faces, cuts)
    seconds = time.perf_counter() - start
    shown, factor = reduced(picture, SHOWN_SIDE)
    smaller = [replace(answer, face=_scaled(answer.face, factor)) for answer in predictions]
    size = (picture.shape[1], picture.shape[0])
    left_out = len(found) - len(faces)
    return Judged(plain_name(name), size, predictions, cuts, seconds, left_out, shown.copy(), smaller)


def _scaled(face: Face, factor: np.ndarray) -> Face:
    left, top, width, height = (np.array(face.box) / np.tile(factor, 2)).tolist()
    points = None if face.points is None else (face.points / factor).astype(np.float32)
    return replace(face, box=(left, top, width, height), points=points)
