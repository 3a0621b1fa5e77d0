"""Draw anti-aliased shapes on an 8-bit RGB canvas, with subpixel coordinates."""

from collections.abc import Callable

import cv2
import numpy as np

# Fractional bits of OpenCV's fixed-point coordinates: sixteenths of a pixel.
_SHIFT = 4
Color = tuple[float, float, float]


def _fixed_point(points: np.ndarray) -> np.ndarray:
    return (points * (1 << _SHIFT)).astype(np.int32)


def fill_polygon(canvas: np.ndarray, outline: np.ndarray, color: Color | float) -> None:
    """Fill a polygon (N, 2)."""
    cv2.fillPoly(canvas, [_fixed_point(outline)], color, cv2.LINE_AA, _SHIFT)


def stroke(
    canvas: np.ndarray, lines: list[np.ndarray], color: Color, width: float, closed: bool = False
) -> None:
    """Draw lines through points (N, 2), at least one pixel wide."""
    fixed = [_fixed_point(line) for line in lines]
    cv2.polylines(canvas, fixed, closed, color, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def fill_circle(canvas: np.ndarray, center: np.ndarray, radius: float, color: Color) -> None:
    """Fill a circle."""
    x, y = _fixed_point(center).tolist()
    cv2.circle(canvas, (x, y), round(radius * (1 << _SHIFT)), color, -1, cv2.LINE_AA, _SHIFT)


def coverage_mask(outlines: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Return the mask of several filled polygons, uint8 (height, width), 0 to 255."""
    mask = np.zeros((height, width), np.uint8)
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
    blend(window, layer, coverage_mask([outline - low], *layer.shape[:2]).astype(np.float32) / 255)


def blend(canvas: np.ndarray, layer: np.ndarray | Color, alpha: np.ndarray) -> None:
    """Blend ``layer`` over the canvas with opacity ``alpha`` (H, W), in [0, 1]."""
    canvas[:] = np.rint(canvas + alpha[..., None] * (np.asarray(layer, np.float32) - canvas))


def mix_colors(a: Color, b: Color, weight: float) -> Color:
    """Return ``a`` mixed with ``b``, whose weight is in [0, 1]."""
    return a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1]), a[2] + weight * (b[2] - a[2])
