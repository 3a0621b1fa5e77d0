"""Render one synthetic face."""

import cv2
import numpy as np

from fer.data.synthetic import figure
from fer.data.synthetic.features import paint_features
from fer.data.synthetic.geometry import FaceGeometry, locate_face
from fer.data.synthetic.parameters import FaceParameters
from fer.data.synthetic.shading import shade
from fer.errors import FerError

_MIN_SIZE = 16
# Smaller images are painted at this size and averaged down.
_MIN_CANVAS = 96


def render_face(p: FaceParameters, size: int, color: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Render a face.

    Args:
        p: Parameters of the face.
        size: Side of the image in pixels, at least 16.
        color: RGB if true, else gray (ITU-R BT.601 luma).

    Returns:
        The image, uint8 (size, size, 3 or 1), and the true positions of five landmarks, float (5, 2), as x
        and y in pixels with pixel centers at whole numbers: left eye, right eye, nose tip, left and right
        mouth corner. Left and right are the viewer's (the order of MTCNN, ArcFace and YuNet).

    Raises:
        FerError: The size is below 16.
    """
    check_size(size)
    canvas_size = max(2 * size, _MIN_CANVAS)
    face = locate_face(p, canvas_size)
    rng = np.random.default_rng(p.texture_seed)
    canvas = _paint(p, face, canvas_size, rng)
    # Light is smooth, so it is computed at the final size, at a quarter of the cost or less.
    image = _apply_lighting(canvas, p, face, size)
    factor = size / canvas_size
    if p.occluder != "none":
        figure.paint_occluder(image, p, (face.center + 0.5) * factor - 0.5, face.unit * factor, rng)
    return _apply_camera(p, image if color else _gray(image), rng), (face.landmarks + 0.5) * factor - 0.5


def check_size(size: int) -> None:
    """Raise FerError if the size, in pixels, is too small to recognize a face."""
    if size < _MIN_SIZE:
        raise FerError(f"synthetic faces: expected a size of at least {_MIN_SIZE} pixels, got {size}.")


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def _paint(p: FaceParameters, face: FaceGeometry, size: int, rng: np.random.Generator) -> np.ndarray:
    canvas = figure.paint_background(size, rng)
    figure.paint_body(canvas, p, face)
    figure.paint_head(canvas, p, face)
    paint_features(canvas, p, face)
    figure.paint_hair(canvas, p, face, rng)
    if p.glasses > 0:
        figure.paint_glasses(canvas, p, face)
    return canvas


def _apply_lighting(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, size: int) -> np.ndarray:
    """Average the canvas down, and apply the light to the head."""
    image, mask = (
        cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)
        for full in (canvas, figure.head_mask(face, len(canvas)))
    )
    step = np.float32(len(canvas) / size)
    factor, gloss = shade(p, face, (np.arange(size, dtype=np.float32) + 0.5) * step - 0.5)
    alpha = mask[..., None] * np.float32(1 / 255)
    lit = image * (1 + alpha * (factor - 1)) + 34 * alpha * gloss[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)


def _apply_camera(p: FaceParameters, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply blur, contrast, brightness and sensor noise."""
    pixels: np.ndarray = image.astype(np.float32)
    if p.blur > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), p.blur * len(image)).reshape(image.shape)
    pixels = (pixels - 127.5) * p.contrast + 127.5 * (1 + 2 * p.brightness)
    if p.noise > 0:
        pixels = pixels + p.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
