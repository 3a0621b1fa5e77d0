"""Smooth-edged shapes on an 8-bit RGB canvas, at subpixel places."""

from collections.abc import Callable

import cv2
import numpy as np

from fer.data.synthetic.colours import Colour

_SHIFT = 4  # OpenCV takes fixed-point coordinates: sixteenths of a pixel


def _fixed(points: np.ndarray) -> np.ndarray:
    return (points * (1 << _SHIFT)).astype(np.int32)


def fill(canvas: np.ndarray, outline: np.ndarray, colour: Colour | float) -> None:
    """Fill a closed outline (N, 2)."""
    cv2.fillPoly(canvas, [_fixed(outline)], colour, cv2.LINE_AA, _SHIFT)


def stroke(
    canvas: np.ndarray, points: np.ndarray, colour: Colour, width: float, closed: bool = False
) -> None:
    """Draw a line through points (N, 2), at least a pixel wide."""
    cv2.polylines(canvas, [_fixed(points)], closed, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def strokes(canvas: np.ndarray, lines: list[np.ndarray], colour: Colour, width: float) -> None:
    """Draw several lines alike."""
    cv2.polylines(
        canvas, [_fixed(line) for line in lines], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT
    )


def dot(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: Colour) -> None:
    """Fill a circle."""
    x, y = _fixed(centre)
    cv2.circle(canvas, (int(x), int(y)), round(radius * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def covered(outlines: list[np.ndarray], size: int) -> np.ndarray:
    """Cover of some outlines, uint8 (size, size)."""
    mask = np.zeros((size, size), np.uint8)
    for outline in outlines:
        fill(mask, outline, 255)
    return mask


def paint_inside(
    canvas: np.ndarray, outline: np.ndarray, paint: Callable[[np.ndarray, np.ndarray], None]
) -> None:
    """Let ``paint(layer, origin)`` draw, and keep what falls inside the outline.

    ``layer`` is the part of the canvas about the outline, and ``origin`` (2,) the place of its first pixel.
    """
    low = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, canvas.shape[1::-1])
    if (high <= low).any():
        return
    window = canvas[low[1] : high[1], low[0] : high[0]]
    layer = window.copy()
    paint(layer, low)
    mask = np.zeros(layer.shape[:2], np.uint8)
    fill(mask, outline - low, 255)
    blend(window, layer, mask.astype(np.float32) / 255)


def blend(canvas: np.ndarray, layer: np.ndarray | Colour, cover: np.ndarray) -> None:
    """Put ``layer`` over the canvas where ``cover`` (H, W), in [0, 1], says."""
    mixed = canvas + cover[..., None] * (np.asarray(layer, np.float32) - canvas)
    canvas[:] = np.rint(mixed)
