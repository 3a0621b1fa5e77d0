"""Grid of images as one figure, for example faces with their augmentations or with saliency maps."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fer.analysis.style import DPI, FOREGROUND, HEADER_HEIGHT, SMALL_SIZE, add_text, new_figure, shorten
from fer.errors import FerError

# In pixels: target width of an image, gap, height of an image title, outer margin
TILE_WIDTH, GAP, TITLE_HEIGHT, MARGIN = 200, 16, 52, 40


def plot_image_grid(images: np.ndarray, titles: Sequence[str] | None, columns: int, title: str) -> Figure:
    """Plot images in a grid.

    Small images are enlarged by an integer factor, so that pixels stay square and equal; of large images
    every n-th pixel is shown.

    Args:
        images: ``(N, H, W, C)`` with C 1 or 3 (RGB), uint8 or float in [0, 1] (values outside are clipped).
        titles: N short texts, one above each image ("" for none), or None; truncated to the width of the
            image.
        columns: Images per row.
        title: Title of the figure.

    Raises:
        FerError: Wrong shape, fewer than one column, or a number of titles other than N.
    """
    _check_grid(images, titles, columns)
    tiles = resize_by_integer_factor(to_rgb_bytes(images))
    labels = list(titles) if titles is not None else [""] * len(tiles)
    rows = math.ceil(len(tiles) / columns)
    spaces = [
        TITLE_HEIGHT if any(labels[row * columns : (row + 1) * columns]) else GAP for row in range(rows)
    ]
    canvas, corners = _lay_out(tiles, columns, spaces)
    count = f"{len(images)} image{'' if len(images) == 1 else 's'}" if len(images) else "no images"
    fig = figure_for_canvas(canvas, title, count)
    for (top, left), text in zip(corners, labels, strict=True):
        label = shorten(text, tiles.shape[2] / DPI, SMALL_SIZE)
        add_text(fig.axes[0], left, top - 10, label, ha="left", va="bottom", color=FOREGROUND)
    return fig


def _check_grid(images: np.ndarray, titles: Sequence[str] | None, columns: int) -> None:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise FerError(f"Image grid: expected images (N, H, W, C) with C 1 or 3, got {images.shape}.")
    if columns < 1:
        raise FerError(f"Image grid: expected at least 1 column, got {columns}.")
    if titles is not None and len(titles) != len(images):
        raise FerError(f"Image grid: expected {len(images)} titles, one per image, got {len(titles)}.")


def to_rgb_bytes(images: np.ndarray) -> np.ndarray:
    """Return uint8 ``(N, H, W, 3)``; NaN, e.g. in a saliency map of an all-zero gradient, becomes black."""
    if images.dtype != np.uint8:
        images = np.round(255 * np.clip(np.nan_to_num(images, nan=0.0), 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:3], 3))


def resize_by_integer_factor(images: np.ndarray, width: int = TILE_WIDTH) -> np.ndarray:
    """Resize images to about ``width`` pixels: repeat each pixel n times, or keep every n-th pixel."""
    step, scale = max(1, images.shape[2] // width), max(1, round(width / images.shape[2]))
    return images[:, ::step, ::step].repeat(scale, axis=1).repeat(scale, axis=2)


def _lay_out(
    tiles: np.ndarray, columns: int, spaces: Sequence[int]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return a white canvas with all tiles, uint8 RGB, and the (top, left) corner of each in pixels.

    ``spaces`` are the heights in pixels above each row.
    """
    height, width = tiles.shape[1:3]
    tops = np.cumsum([0, *(space + height for space in spaces)])
    canvas_width = min(columns, max(1, len(tiles))) * (width + GAP)
    canvas = np.full((max(1, int(tops[-1])), canvas_width, 3), 255, np.uint8)
    corners = []
    for i, tile in enumerate(tiles):
        top, left = int(tops[i // columns]) + spaces[i // columns], i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
        corners.append((top, left))
    return canvas, corners


def figure_for_canvas(canvas: np.ndarray, title: str, subtitle: str) -> Figure:
    """Return a figure that shows ``canvas``, uint8 RGB, pixel by pixel below the header."""
    height, width = canvas.shape[:2]
    full_width = max(int(4.5 * DPI), width + 2 * MARGIN - GAP)
    full_height = height + MARGIN + int(HEADER_HEIGHT * DPI)
    fig = new_figure(full_width / DPI, full_height / DPI, title, subtitle, constrained=False)
    ax = fig.add_axes((MARGIN / full_width, MARGIN / full_height, width / full_width, height / full_height))
    ax.imshow(canvas, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    return fig
