"""Crop faces with the framing of the images that a model was trained on (its `CropRule`)."""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from fer.bundle.card import REFERENCE_LANDMARKS, CropRule
from fer.core.landmarks import similarity_transform
from fer.faces.base import Face
from fer.faces.rotation import turn_face

# Pixels to keep around the part of an image that is needed.
_MARGIN = 2
# By degrees.
_SINE_COSINE = {90: (1, 0), 180: (0, -1), 270: (-1, 0)}


def crop_faces(image: np.ndarray, faces: Sequence[Face], rule: CropRule, size: int) -> np.ndarray:
    """Crop faces from an image.

    If both the rule and the face have landmarks, the face is translated, scaled and, for an upright rule,
    rotated so that its landmarks best match the rule's. Otherwise the crop is a square around the face's box;
    an upright rule rotates it if the face has landmarks. A box that covers the entire image marks an image
    that is already cropped: its largest central square is taken, as in training. A face with a ``rotation``
    is cropped as if the image had been turned by it.

    Downscaling averages over areas. Pixels beyond the image's border repeat the border.

    Args:
        image: uint8 ``(H, W, 3)``, RGB.
        faces: Boxes and landmarks in the image.
        rule: Position of the face in the crop.
        size: Side of the crop in pixels.

    Returns:
        uint8 ``(N, size, size, 3)``.
    """
    crops = np.empty((len(faces), size, size, 3), np.uint8)
    for face, crop in zip(faces, crops, strict=True):
        if _covers_image(face, image):
            crop[:] = np.rot90(_resize(_center_square(image), size), -face.rotation // 90)
        else:
            crop[:] = _warp_face(image, crop_matrix(face, rule), size)
    return crops


def crop_matrix(face: Face, rule: CropRule) -> np.ndarray:
    """Return the affine map from image pixels to fractions of the crop's side, float64 ``(2, 3)``.

    Both are measured from the top left corner of the top left pixel.
    """
    if face.rotation:
        # About the origin: where the turned image lies does not matter.
        upright = replace(turn_face(face, face.rotation, (0, 0)), rotation=0)
        sine, cosine = _SINE_COSINE[face.rotation]
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)
        return crop_matrix(upright, rule) @ turn
    if face.points is not None and rule.points:
        matrix = similarity_transform(face.points, np.array(rule.points), rotate=rule.upright)
        if matrix is not None:
            return matrix
    return _box_matrix(face, rule)


def _box_matrix(face: Face, rule: CropRule) -> np.ndarray:
    """Return the map of a square around the box, rotated about its centre; points are complex numbers."""
    left, top, width, height = face.box
    longer = max(width, height, 1.0)
    direction = _horizontal_direction(face) if rule.upright else 1 + 0j
    factor = direction.conjugate() / (longer * rule.box_scale)
    center = complex(left + width / 2, top + height / 2) + 1j * direction * rule.box_shift * longer
    shift = 0.5 + 0.5j - factor * center
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _horizontal_direction(face: Face) -> complex:
    """Return the direction from a face's right to its left, as a complex number of length 1.

    All five landmarks are fitted, because the eyes of a face in profile are so close together that their
    direction is unreliable. Without landmarks it is horizontal.
    """
    upright = (
        None if face.points is None else similarity_transform(face.points, np.array(REFERENCE_LANDMARKS))
    )
    if upright is None:
        return 1 + 0j
    return complex(upright[0, 0], -upright[1, 0]) / abs(complex(*upright[:, 0]))


def _covers_image(face: Face, image: np.ndarray) -> bool:
    height, width = image.shape[:2]
    return face.points is None and tuple(face.box) == (0, 0, width, height)


def _center_square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _resize(square: np.ndarray, size: int) -> np.ndarray:
    shrinks = len(square) > size
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _warp_face(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return one crop, downscaled in two steps: by an integer factor, then exactly.

    Bilinear sampling once per output pixel would miss most pixels of a large face. So the needed part is
    first averaged down to two or three pixels per output pixel, then warped to a grid of that resolution, and
    that is averaged.
    """
    matrix = matrix * size
    part, corner = _needed_part(image, matrix, size)
    matrix = matrix @ _shift(*corner)
    height, width = part.shape[:2]
    # Image pixels per output pixel.
    step = 1 / np.hypot(*matrix[:, 0])
    factor = max(1, int(step / 2))
    if factor > 1:
        part = cv2.resize(part, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / part.shape[1], height / part.shape[0], 1])
    return _warp_and_average(part, matrix, size, max(1, math.ceil(step / factor)))


def _warp_and_average(part: np.ndarray, matrix: np.ndarray, size: int, oversampling: int) -> np.ndarray:
    """Warp to a grid of ``oversampling`` samples per output pixel along each axis, and average them."""
    # OpenCV measures from the centres of pixels.
    centers = matrix * oversampling @ _shift(0.5, 0.5)
    centers[:, 2] -= 0.5
    side = size * oversampling
    face = cv2.warpAffine(
        part, centers, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return face if oversampling == 1 else cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)


def _needed_part(image: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the part of an image that the crop covers, at least one pixel, and the part's left and top.

    OpenCV cannot warp an image with a side above 32,767 pixels, and would process all of a large one.
    """
    corners = np.array([[0, size, 0, size], [0, 0, size, size]], np.float64)
    points = np.linalg.solve(matrix[:, :2], corners - matrix[:, 2:])
    limits = np.array(image.shape[1::-1])
    first = np.clip(np.floor(points.min(1)) - _MARGIN, 0, limits - 1).astype(int)
    last = np.clip(np.ceil(points.max(1)) + _MARGIN, first + 1, limits).astype(int)
    return image[first[1] : last[1], first[0] : last[0]], (int(first[0]), int(first[1]))


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
