"""Rows of images as one picture, such as a face and its augmentations, or attention maps laid over faces."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fer.analysis.style import DPI, HEADER, INK, SMALL, new_figure, shorten, write
from fer.errors import FerError

# Dots: wished width of an image, gutter, room for a title, outer margin
TILE, GAP, HEAD, MARGIN = 200, 16, 52, 40


def plot_image_grid(images: np.ndarray, titles: Sequence[str] | None, columns: int, title: str) -> Figure:
    """Draw images in rows.

    A small image is enlarged by a whole number, so that each pixel stays an even square; of a large one
    every n-th pixel is shown.

    Args:
        images: ``(N, H, W, C)`` with C 1 or 3 (RGB), uint8 or float in [0, 1] (values outside are clipped).
        titles: N short texts, one above each image ("" for none), or None; cut to the width of the image.
        columns: Images in a row.
        title: First line of the picture.

    Raises:
        FerError: Wrong shape, fewer than one column, or not one title for each image.
    """
    _check_grid(images, titles, columns)
    tiles = resize_evenly(to_rgb_bytes(images))
    words = list(titles) if titles is not None else [""] * len(tiles)
    rows = math.ceil(len(tiles) / columns)
    heads = [HEAD if any(words[row * columns : (row + 1) * columns]) else GAP for row in range(rows)]
    canvas, corners = _lay_out(tiles, columns, heads)
    count = f"{len(images)} image{'' if len(images) == 1 else 's'}" if len(images) else "no images"
    fig = figure_around(canvas, title, count)
    for (top, left), text in zip(corners, words, strict=True):
        short = shorten(text, tiles.shape[2] / DPI, SMALL)
        write(fig.axes[0], left, top - 10, short, ha="left", va="bottom", color=INK)
    return fig


def _check_grid(images: np.ndarray, titles: Sequence[str] | None, columns: int) -> None:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise FerError(f"Image grid: expected images (N, H, W, C) with C 1 or 3, got {images.shape}.")
    if columns < 1:
        raise FerError(f"Image grid: expected one column or more, got {columns}.")
    if titles is not None and len(titles) != len(images):
        raise FerError(f"Image grid: expected {len(images)} titles, one an image, got {len(titles)}.")


def to_rgb_bytes(images: np.ndarray) -> np.ndarray:
    """Return uint8 ``(N, H, W, 3)``; a NaN, such as in a map of an all-zero gradient, turns black."""
    if images.dtype != np.uint8:
        images = np.round(255 * np.clip(np.nan_to_num(images, nan=0.0), 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:3], 3))


def resize_evenly(images: np.ndarray, width: int = TILE) -> np.ndarray:
    """Bring images near ``width`` dots: each pixel n times, or every n-th pixel of a large image."""
    step, scale = max(1, images.shape[2] // width), max(1, round(width / images.shape[2]))
    return images[:, ::step, ::step].repeat(scale, axis=1).repeat(scale, axis=2)


def _lay_out(
    tiles: np.ndarray, columns: int, heads: Sequence[int]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the white canvas with all tiles, RGB bytes, and the (top, left) corner of each in dots."""
    height, width = tiles.shape[1:3]
    tops = np.cumsum([0, *(head + height for head in heads)])
    across = min(columns, max(1, len(tiles))) * (width + GAP)
    canvas = np.full((max(1, int(tops[-1])), across, 3), 255, np.uint8)
    corners = []
    for i, tile in enumerate(tiles):
        top, left = int(tops[i // columns]) + heads[i // columns], i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
        corners.append((top, left))
    return canvas, corners


def figure_around(canvas: np.ndarray, title: str, subtitle: str) -> Figure:
    """Return a figure just large enough to show ``canvas``, RGB bytes, dot by dot below the header."""
    height, width = canvas.shape[:2]
    across = max(int(4.5 * DPI), width + 2 * MARGIN - GAP)
    down = height + MARGIN + int(HEADER * DPI)
    fig = new_figure(across / DPI, down / DPI, title, subtitle, constrained=False)
    ax = fig.add_axes((MARGIN / across, MARGIN / down, width / across, height / down))
    ax.imshow(canvas, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    return fig
