"""Cut faces out as they lie in the pictures that a model was trained on."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from fer.bundle.card import AT_REST, CropRule
from fer.faces.align import similarity
from fer.faces.face import Face

_MARGIN = 2  # pixels around the part of a picture that is needed


def cut_faces(picture: np.ndarray, faces: Sequence[Face], rule: CropRule, size: int) -> np.ndarray:
    """Cut faces out of a picture.

    Where the rule has points, a face with points is moved, scaled and, if the rule says upright, turned until
    its points are nearest to the rule's. Any other is cut as a square around its box, which an upright rule
    turns until the face is upright, where the detector gives points. A box that is the whole picture has
    nothing around it: the picture was cut already, and its largest centred square is taken, as in training.

    Shrinking averages over areas. What lies beyond the picture's edge repeats the edge.

    Args:
        picture: uint8 ``(H, W, 3)``, RGB.
        faces: Where they are.
        rule: How they lie in the result.
        size: Side of the result in pixels.

    Returns:
        uint8 ``(N, size, size, 3)``.
    """
    result = np.empty((len(faces), size, size, 3), np.uint8)
    for face, place in zip(faces, result, strict=True):
        if _is_whole(face, picture):
            place[:] = _resized(_centre_square(picture), size)
        else:
            place[:] = _cut(picture, crop_matrix(face, rule), size)
    return result


def crop_matrix(face: Face, rule: CropRule) -> np.ndarray:
    """Return the map from the picture's pixels to shares of the result's side, float64 ``(2, 3)``.

    Both are counted from the top left corner of the top left pixel.
    """
    if face.points is not None and rule.points:
        matrix = similarity(face.points, np.array(rule.points), turn=rule.upright)
        if matrix is not None:
            return matrix
    return _around_box(face, rule)


def _around_box(face: Face, rule: CropRule) -> np.ndarray:
    """Return the map of a square around the box, turned about its centre; places are complex numbers."""
    left, top, width, height = face.box
    longer = max(width, height, 1.0)
    across = _across(face) if rule.upright else 1 + 0j
    factor = across.conjugate() / (longer * rule.box_scale)
    centre = complex(left + width / 2, top + height / 2) + 1j * across * rule.box_shift * longer
    start = 0.5 + 0.5j - factor * centre
    return np.array([[factor.real, -factor.imag, start.real], [factor.imag, factor.real, start.imag]])


def _across(face: Face) -> complex:
    """Return the direction from a face's right to its left, of length 1; level where that is not known.

    All five points have a say: the eyes of a face in profile are so near to each other that they alone give
    any direction.
    """
    upright = None if face.points is None else similarity(face.points, np.array(AT_REST))
    if upright is None:
        return 1 + 0j
    return complex(upright[0, 0], -upright[1, 0]) / abs(complex(*upright[:, 0]))


def _is_whole(face: Face, picture: np.ndarray) -> bool:
    height, width = picture.shape[:2]
    return face.points is None and tuple(face.box) == (0, 0, width, height)


def _centre_square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _resized(square: np.ndarray, size: int) -> np.ndarray:
    shrinks = len(square) > size
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _cut(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cut a face out, shrinking it in two steps: roughly by whole numbers, then exactly.

    One bilinear look-up a pixel would miss most pixels of a large face. So the part that is needed is first
    averaged down to two or three pixels for one of the result, then turned onto a grid as fine as these, and
    that is averaged.
    """
    matrix = matrix * size
    part, corner = _needed_part(picture, matrix, size)
    matrix = matrix @ _shift(*corner)
    height, width = part.shape[:2]
    step = 1 / np.hypot(*matrix[:, 0])  # pixels of the picture for one of the result
    factor = max(1, int(step / 2))
    if factor > 1:
        part = cv2.resize(part, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / part.shape[1], height / part.shape[0], 1])
    return _warped(part, matrix, size, max(1, math.ceil(step / factor)))


def _warped(part: np.ndarray, matrix: np.ndarray, size: int, fine: int) -> np.ndarray:
    """Lay a part on a grid of ``fine`` cells a pixel each way, and average them."""
    centres = matrix * fine @ _shift(0.5, 0.5)
    centres[:, 2] -= 0.5  # OpenCV counts from a pixel's centre
    face = cv2.warpAffine(
        part, centres, (size * fine, size * fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return face if fine == 1 else cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)


def _needed_part(picture: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the part of a picture under the result, at least a pixel of it, and the part's left and top.

    OpenCV turns no picture with a side beyond 32,767 pixels, and would read a large one all through.
    """
    corners = np.array([[0, size, 0, size], [0, 0, size, size]], np.float64)
    places = np.linalg.solve(matrix[:, :2], corners - matrix[:, 2:])
    limits = np.array(picture.shape[1::-1])
    first = np.clip(np.floor(places.min(1)) - _MARGIN, 0, limits - 1).astype(int)
    last = np.clip(np.ceil(places.max(1)) + _MARGIN, first + 1, limits).astype(int)
    return picture[first[1] : last[1], first[0] : last[0]], (int(first[0]), int(first[1]))


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
