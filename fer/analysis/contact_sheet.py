"""Contact sheet: many small images as one figure, in strips with headings, and captions below the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fer.analysis.image_grid import GAP, figure_for_canvas, resize_by_integer_factor, to_rgb_bytes
from fer.analysis.style import DPI, FOREGROUND, LABEL_SIZE, MUTED, SMALL_SIZE, add_text, shorten

# Target width of an image in pixels: enough for a caption "votes surprise 100 %"
IMAGE_WIDTH = 288
# Heights in pixels: a line of a caption, a heading, the space below a row
_LINE, _HEADING, _SPACE = 32, 52, 20


@dataclass(frozen=True)
class ImageStrip:
    """A group of images.

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
    """Positions of images and texts, in pixels from the top left corner."""

    tiles: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    texts: list[tuple[int, int, str, dict[str, Any]]] = field(default_factory=list)
    height: int = 0


def plot_contact_sheet(
    strips: Sequence[ImageStrip], columns: int, title: str, subtitle: str, width: int = IMAGE_WIDTH
) -> Figure:
    """Plot strips of images below each other.

    Args:
        strips: All with images of the same size.
        columns: Images per row.
        title: Title of the figure.
        subtitle: Second line: how to read a caption.
        width: Target width of an image in pixels; images are enlarged by an integer factor.
    """
    layout = _Layout()
    for strip in strips:
        _place_strip(layout, strip, columns, width)
    canvas_width = max([left + tile.shape[1] for left, _, tile in layout.tiles], default=0) + GAP
    canvas = np.full((max(1, layout.height), canvas_width, 3), 255, np.uint8)
    for left, top, tile in layout.tiles:
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    fig = figure_for_canvas(canvas, title, subtitle)
    for left, top, text, style in layout.texts:
        add_text(fig.axes[0], left, top, text, ha="left", va="top", **style)
    return fig


def _place_strip(layout: _Layout, strip: ImageStrip, columns: int, width: int) -> None:
    """Add a strip at the bottom of the layout."""
    if strip.heading:
        style = {"size": LABEL_SIZE, "weight": "bold"}
        layout.texts.append((0, layout.height, strip.heading, style))
        layout.height += _HEADING
    tiles = resize_by_integer_factor(to_rgb_bytes(strip.images), width) if len(strip.images) else ()
    for start in range(0, len(tiles), columns):
        row = slice(start, start + columns)
        layout.height += _place_row(layout, list(zip(tiles[row], strip.captions[row], strict=True)))


def _place_row(layout: _Layout, row: Sequence[tuple[np.ndarray, Sequence[str]]]) -> int:
    """Add a row of images and captions at the bottom of the layout; return its height in pixels."""
    height, width = row[0][0].shape[:2]
    for number, (tile, caption) in enumerate(row):
        left = number * (width + GAP)
        layout.tiles.append((left, layout.height, tile))
        layout.texts += _caption_lines(caption, left, layout.height + height + 4, width)
    return int(height + 4 + _LINE * max(len(caption) for _, caption in row) + _SPACE)


def _caption_lines(
    caption: Sequence[str], left: int, top: int, width: int
) -> Iterator[tuple[int, int, str, Any]]:
    for number, line in enumerate(caption):
        style = {"size": SMALL_SIZE, "color": MUTED if number else FOREGROUND}
        # Captions are narrower than the average that `shorten` assumes
        yield left, top + number * _LINE, shorten(line, 1.1 * width / DPI, SMALL_SIZE), style
