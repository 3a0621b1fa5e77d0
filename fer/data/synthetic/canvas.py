"""Draw anti-aliased shapes on an 8-bit RGB canvas, with subpixel coordinates, and the colors of a face."""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from fer.data.synthetic.parameters import FaceParameters

# Fractional bits of OpenCV's fixed-point coordinates: sixteenths of a pixel.
_SHIFT = 4
Color = tuple[float, float, float]
# Ramps of colors, from the first to the last value of the parameters skin_tone, hair_tone and eye_tone.
_SKIN: list[Color] = [
    (250, 220, 198),
    (238, 197, 165),
    (222, 172, 134),
    (188, 133, 95),
    (142, 94, 65),
    (96, 62, 43),
]
_HAIR: list[Color] = [(226, 190, 120), (190, 140, 80), (140, 84, 48), (86, 54, 36), (38, 30, 28)]
_EYES: list[Color] = [(96, 146, 186), (104, 150, 120), (120, 110, 60), (96, 62, 34), (62, 38, 24)]


def _fixed_point(points: np.ndarray) -> np.ndarray:
    return (points * (1 << _SHIFT)).astype(np.int32)


def fill_polygon(canvas: np.ndarray, outline: np.ndarray, color: Color | float) -> None:
    """Fill a polygon (N, 2)."""
    cv2.fillPoly(canvas, [_fixed_point(outline)], color, cv2.LINE_AA, _SHIFT)


def stroke(canvas: np.ndarray, points: np.ndarray, color: Color, width: float, closed: bool = False) -> None:
    """Draw a line through points (N, 2), at least one pixel wide."""
    cv2.polylines(canvas, [_fixed_point(points)], closed, color, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def stroke_all(canvas: np.ndarray, lines: list[np.ndarray], color: Color, width: float) -> None:
    """Draw several lines of the same color and width."""
    cv2.polylines(
        canvas,
        [_fixed_point(line) for line in lines],
        False,
        color,
        max(1, round(width)),
        cv2.LINE_AA,
        _SHIFT,
    )


def fill_circle(canvas: np.ndarray, center: np.ndarray, radius: float, color: Color) -> None:
    """Fill a circle."""
    x, y = _fixed_point(center)
    cv2.circle(canvas, (int(x), int(y)), round(radius * (1 << _SHIFT)), color, -1, cv2.LINE_AA, _SHIFT)


def coverage_mask(outlines: list[np.ndarray], size: int) -> np.ndarray:
    """Return the mask of several filled polygons, uint8 (size, size), 0 to 255."""
    mask = np.zeros((size, size), np.uint8)
    for outline in outlines:
        fill_polygon(mask, outline, 255)
    return mask


def paint_clipped(
    canvas: np.ndarray, outline: np.ndarray, paint: Callable[[np.ndarray, np.ndarray], None]
) -> None:
    """Call ``paint(layer, origin)``, and clip the result to the outline.

    ``layer`` is a copy of the canvas around the outline, and ``origin`` (2,) the position of its first pixel.
    """
    low = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, canvas.shape[1::-1])
    if (high <= low).any():
        return
    window = canvas[low[1] : high[1], low[0] : high[0]]
    layer = window.copy()
    paint(layer, low)
    mask = np.zeros(layer.shape[:2], np.uint8)
    fill_polygon(mask, outline - low, 255)
    blend(window, layer, mask.astype(np.float32) / 255)


def blend(canvas: np.ndarray, layer: np.ndarray | Color, alpha: np.ndarray) -> None:
    """Blend ``layer`` over the canvas with opacity ``alpha`` (H, W), in [0, 1]."""
    mixed = canvas + alpha[..., None] * (np.asarray(layer, np.float32) - canvas)
    canvas[:] = np.rint(mixed)


def mix_colors(a: Color, b: Color, weight: float) -> Color:
    """Return ``a`` mixed with ``b``, whose weight is in [0, 1]."""
    return a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1]), a[2] + weight * (b[2] - a[2])


def _ramp(colors: list[Color], t: float) -> Color:
    """Interpolate linearly between colors, with t from 0 (first) to 1 (last)."""
    position = t * (len(colors) - 1)
    low = min(int(position), len(colors) - 2)
    return mix_colors(colors[low], colors[low + 1], position - low)


def skin_color(p: FaceParameters) -> Color:
    """Return the color of the skin."""
    return _ramp(_SKIN, p.skin_tone)


def lip_color(p: FaceParameters) -> Color:
    """Return the color of the lips: the skin's, redder and slightly darker."""
    return mix_colors(skin_color(p), (170, 52, 60), 0.5 - 0.12 * p.skin_tone)


def hair_color(p: FaceParameters) -> Color:
    """Return the color of the hair."""
    return mix_colors(_ramp(_HAIR, p.hair_tone), (196, 196, 198), 0.9 * p.hair_gray)


def brow_color(p: FaceParameters) -> Color:
    """Return the color of the brows: darker than the hair, so that fair brows are visible."""
    return mix_colors(hair_color(p), (34, 22, 18), 0.6)


def iris_color(p: FaceParameters) -> Color:
    """Return the color of the iris."""
    return _ramp(_EYES, p.eye_tone)


def clothes_color(p: FaceParameters) -> Color:
    """Return the color of the clothes."""
    red, green, blue = colorsys.hsv_to_rgb(p.clothes_tone, 0.45, 0.62)
    return (255 * red, 255 * green, 255 * blue)
