"""Plots of images: a grid, a contact sheet with captions, and saliency maps of correct and wrong examples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from fer.analysis.metrics.estimate import format_percent
from fer.analysis.plots.style import (
    DPI,
    FOREGROUND,
    HEADER_HEIGHT,
    LABEL_SIZE,
    MUTED,
    SMALL_SIZE,
    add_text,
    new_figure,
    shorten,
)
from fer.analysis.predictions import Predictions

# Image grid, in pixels: target width of an image, gap, height of an image title, outer margin
TILE_WIDTH, GAP, TITLE_HEIGHT, MARGIN = 200, 16, 52, 40
# Contact sheet, in pixels: target width of an image, enough for a caption "votes surprise 100 %"
SHEET_TILE_WIDTH = 288
# Contact sheet, in pixels: height of a caption line, of a heading, and of the space below a row
_LINE, _HEADING, _SPACE = 32, 52, 20
# Opacity of the colour at a saliency of 1; the face stays visible
_MAX_OPACITY = 0.65
# Matplotlib colormap; its upper half is used, from magenta to yellow
_COLORMAP = "plasma"


@dataclass(frozen=True)
class ImageStrip:
    """A group of images in a contact sheet.

    Attributes:
        heading: Text above them, "" for none.
        images: uint8 ``(n, H, W, C)``, C 1 or 3 (RGB).
        captions: Lines below each image, the same number for all n; the first is dark, the others gray.
    """

    heading: str
    images: np.ndarray
    captions: Sequence[Sequence[str]]


@dataclass
class _Layout:
    """Positions (left, top) of images and texts, in pixels from the top left corner."""

    tiles: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    texts: list[tuple[int, int, str, dict[str, Any]]] = field(default_factory=list)
    height: int = 0


def plot_image_grid(images: np.ndarray, titles: Sequence[str] | None, columns: int, title: str) -> Figure:
    """Plot images in a grid.

    Small images are enlarged by an integer factor, so that pixels stay square and equal; of large images
    every n-th pixel is shown.

    Args:
        images: ``(N, H, W, C)`` with C 1 or 3 (RGB), uint8 or float in [0, 1] (values outside are clipped).
        titles: N short texts, one above each image ("" for none), or None; truncated to the width of the
            image.
        columns: Images per row.
    """
    tiles = resize_by_integer_factor(to_rgb_bytes(images))
    labels = list(titles) if titles is not None else [""] * len(tiles)
    height, width = tiles.shape[1:3]
    layout = _Layout()
    for start in range(0, len(tiles), columns):
        row = labels[start : start + columns]
        layout.height += TITLE_HEIGHT if any(row) else GAP
        for i, label in enumerate(row):
            left, text = i * (width + GAP), shorten(label, width / DPI, SMALL_SIZE)
            layout.tiles.append((left, layout.height, tiles[start + i]))
            layout.texts.append((left, layout.height - 10, text, {"va": "bottom"}))
        layout.height += height
    count = f"{len(images)} image{'' if len(images) == 1 else 's'}" if len(images) else "no images"
    return _draw(layout, title, count)


def to_rgb_bytes(images: np.ndarray) -> np.ndarray:
    """Return uint8 ``(N, H, W, 3)``; NaN, e.g. in a saliency map of an all-zero gradient, becomes black."""
    if images.dtype != np.uint8:
        images = np.round(255 * np.clip(np.nan_to_num(images, nan=0.0), 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:3], 3))


def resize_by_integer_factor(images: np.ndarray, width: int = TILE_WIDTH) -> np.ndarray:
    """Resize images to about ``width`` pixels: repeat each pixel n times, or keep every n-th pixel."""
    step, scale = max(1, images.shape[2] // width), max(1, round(width / images.shape[2]))
    return images[:, ::step, ::step].repeat(scale, axis=1).repeat(scale, axis=2)


def _draw(layout: _Layout, title: str, subtitle: str) -> Figure:
    """Return a figure of the images and texts on a white canvas."""
    width = max([left + tile.shape[1] for left, _, tile in layout.tiles], default=0) + GAP
    canvas = np.full((max(1, layout.height), width, 3), 255, np.uint8)
    for left, top, tile in layout.tiles:
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    full_width = max(int(4.5 * DPI), width + 2 * MARGIN - GAP)
    full_height = len(canvas) + MARGIN + int(HEADER_HEIGHT * DPI)
    fig = new_figure(full_width / DPI, full_height / DPI, title, subtitle, constrained=False)
    # The canvas is shown pixel by pixel below the header
    corner = MARGIN / full_width, MARGIN / full_height
    ax = fig.add_axes((*corner, width / full_width, len(canvas) / full_height))
    ax.imshow(canvas, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    for left, top, text, style in layout.texts:
        add_text(ax, left, top, text, **{"ha": "left", "va": "top", **style})
    return fig


def plot_contact_sheet(
    strips: Sequence[ImageStrip], columns: int, title: str, subtitle: str, width: int = SHEET_TILE_WIDTH
) -> Figure:
    """Plot strips of images below each other.

    Args:
        strips: All with images of the same size.
        columns: Images per row.
        subtitle: Second line: how to read a caption.
        width: Target width of an image in pixels; images are enlarged by an integer factor.
    """
    layout = _Layout()
    for strip in strips:
        if strip.heading:
            style = {"size": LABEL_SIZE, "weight": "bold"}
            layout.texts.append((0, layout.height, strip.heading, style))
            layout.height += _HEADING
        tiles = resize_by_integer_factor(to_rgb_bytes(strip.images), width)
        for start in range(0, len(tiles), columns):
            _place_row(layout, tiles[start : start + columns], strip.captions[start : start + columns])
    return _draw(layout, title, subtitle)


def _place_row(layout: _Layout, tiles: np.ndarray, captions: Sequence[Sequence[str]]) -> None:
    """Add a row of images, ``(n, H, W, 3)``, and their captions at the bottom of the layout."""
    height, width = tiles.shape[1:3]
    bottom = layout.height + height + 4
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = number * (width + GAP)
        layout.tiles.append((left, layout.height, tile))
        for i, line in enumerate(caption):
            # Captions are narrower than the average that `shorten` assumes
            text = shorten(line, 1.1 * width / DPI, SMALL_SIZE)
            style = {"size": SMALL_SIZE, "color": MUTED if i else FOREGROUND}
            layout.texts.append((left, bottom + i * _LINE, text, style))
    layout.height = bottom + _LINE * max(map(len, captions)) + _SPACE


def overlay_saliency(images: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Return images with their saliency maps as a colour overlay; pixels with a saliency of 0 stay unchanged.

    Args:
        images: uint8 ``(N, H, W, C)``, C 1 or 3 (RGB).
        saliency: ``(N, H, W)`` in [0, 1].

    Returns:
        uint8 ``(N, H, W, 3)``.
    """
    opacity = _MAX_OPACITY * saliency[..., None] ** 1.5
    colors = colormaps[_COLORMAP](0.45 + 0.55 * saliency)[..., :3]
    blended = (1 - opacity) * images + opacity * 255 * colors
    return np.round(blended).astype(np.uint8)


def sample_examples(predictions: Predictions, each: int = 2) -> list[np.ndarray]:
    """Return random correctly and wrongly classified images of each emotion, at most ``each`` of both.

    Returns:
        For each class the positions of its images, correct ones first.
    """
    rng = np.random.default_rng(0)
    correct = predictions.preds == predictions.target
    groups = []
    for number in range(len(predictions.labels)):
        rows = rng.permutation(np.flatnonzero(predictions.target == number))
        groups.append(np.concatenate([rows[correct[rows]][:each], rows[~correct[rows]][:each]]))
    return groups


def plot_saliency(
    predictions: Predictions,
    images: np.ndarray,
    saliency: np.ndarray,
    groups: Sequence[np.ndarray],
    title: str,
    subtitle: str,
) -> Figure:
    """Plot a row of images for each emotion, each beside its copy with the saliency map.

    Args:
        predictions: Of a split.
        images: uint8 ``(n, H, W, C)``, at the positions in ``groups``, group by group.
        saliency: ``(n, H, W)`` in [0, 1].
        groups: Positions in the predictions for each class, as returned by `sample_examples`.
        title: First line of the figure.
        subtitle: Second line.
    """
    rgb = np.broadcast_to(images, (*images.shape[:3], 3))
    pairs = np.concatenate([rgb, overlay_saliency(images, saliency)], axis=2)
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    strips = [
        ImageStrip(name, tiles, [_caption(predictions, row) for row in rows.tolist()])
        for name, rows, tiles in zip(predictions.labels.names, groups, np.split(pairs, ends), strict=True)
        if len(rows)
    ]
    columns = max((len(rows) for rows in groups), default=1)
    return plot_contact_sheet(strips, max(1, columns), title, subtitle, width=round(4 / 3 * SHEET_TILE_WIDTH))


def _caption(predictions: Predictions, row: int) -> list[str]:
    predicted = int(predictions.probs[row].argmax())
    mark = "✓" if predicted == predictions.target[row] else "✗"
    text = f"{mark} predicted {predictions.labels.names[predicted]}"
    return [f"{text} {format_percent(float(predictions.probs[row, predicted]))}"]
