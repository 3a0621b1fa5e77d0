"""Draw one synthetic face."""

import cv2
import numpy as np

from fer.data.synthetic import figure
from fer.data.synthetic.features import paint_features
from fer.data.synthetic.geometry import Face, locate_face
from fer.data.synthetic.parameters import FaceParameters
from fer.data.synthetic.shading import shade
from fer.errors import FerError

_MIN_SIZE = 16
_MIN_CANVAS = 96  # smaller pictures are drawn at this size and averaged down


def render_face(p: FaceParameters, size: int, color: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Draw a face.

    Args:
        p: What to draw.
        size: Side of the picture in pixels, at least 16.
        color: RGB if true, else gray (ITU-R BT.601 luma).

    Returns:
        The picture, uint8 (size, size, 3 or 1), and the true places of five landmarks, float (5, 2), as x and
        y in pixels with pixel centres at whole numbers: left eye, right eye, nose tip, left and right corner
        of the mouth, left and right as the viewer sees them (the order of MTCNN, ArcFace and YuNet).

    Raises:
        FerError: The size is below 16.
    """
    check_size(size)
    canvas_size = max(2 * size, _MIN_CANVAS)
    face = locate_face(p, canvas_size)
    rng = np.random.default_rng(p.texture_seed)
    canvas = _paint(p, face, canvas_size, rng)
    # Light is smooth, so it is worked out at the final size, a quarter of the work or less.
    image = _light(canvas, p, face, size)
    factor = size / canvas_size
    if p.occluder != "none":
        figure.paint_occluder(image, p, (face.centre + 0.5) * factor - 0.5, face.unit * factor, rng)
    return _photograph(p, image if color else _gray(image), rng), (face.landmarks + 0.5) * factor - 0.5


def check_size(size: int) -> None:
    """Raise FerError if a face could not be told at this size, in pixels."""
    if size < _MIN_SIZE:
        raise FerError(f"synthetic faces: expected a size of at least {_MIN_SIZE} pixels, got {size}.")


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def _paint(p: FaceParameters, face: Face, size: int, rng: np.random.Generator) -> np.ndarray:
    canvas = figure.background(size, rng)
    figure.paint_body(canvas, p, face)
    figure.paint_head(canvas, p, face)
    paint_features(canvas, p, face)
    figure.paint_hair(canvas, p, face, rng)
    if p.glasses > 0:
        figure.paint_glasses(canvas, p, face)
    return canvas


def _light(canvas: np.ndarray, p: FaceParameters, face: Face, size: int) -> np.ndarray:
    """Average the canvas down, and multiply the head's colours by the light that falls on them."""
    image, cover = (
        cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)
        for full in (canvas, figure.head_cover(face, len(canvas)))
    )
    step = np.float32(len(canvas) / size)
    factor, gloss = shade(p, face, (np.arange(size, dtype=np.float32) + 0.5) * step - 0.5)
    part = cover[..., None] * np.float32(1 / 255)
    lit = image * (1 + part * (factor - 1)) + 34 * part * gloss[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)


def _photograph(p: FaceParameters, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, exposure and sensor noise."""
    picture: np.ndarray = image.astype(np.float32)
    if p.blur > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), p.blur * len(image)).reshape(image.shape)
    picture = (picture - 127.5) * p.contrast + 127.5 * (1 + 2 * p.brightness)
    if p.noise > 0:
        picture = picture + p.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
