"""Draw anti-aliased shapes on an 8-bit RGB canvas, with subpixel coordinates."""

from collections.abc import Callable

import cv2
import numpy as np

from fer.data.synthetic.colours import Color

# Fractional bits of OpenCV's fixed-point coordinates: sixteenths of a pixel.
_SHIFT = 4


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
