"""Many small faces as one picture, in strips under headings, each with what is said of it below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fer.analysis.image_grid import GAP, figure_around, resize_evenly, to_rgb_bytes
from fer.analysis.style import DPI, INK, LABEL, MUTED, SMALL, shorten, write

FACE = 288  # wished width of a face, in dots: room for "votes surprise 100 %"
_LINE, _HEADING, _SPACE = 32, 52, 20  # dots: a line of a caption, a heading, the space below a row


@dataclass(frozen=True)
class Strip:
    """Faces that belong together.

    Attributes:
        heading: Written above them, "" for none.
        images: uint8 ``(n, H, W, C)``, C 1 or 3 (RGB).
        captions: Lines below each image, n times the same number; the first is in ink, the others gray.
    """

    heading: str
    images: np.ndarray
    captions: Sequence[Sequence[str]]


@dataclass
class _Layout:
    """What goes where, in dots from the top left corner."""

    tiles: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    texts: list[tuple[int, int, str, dict[str, Any]]] = field(default_factory=list)
    height: int = 0


def plot_contact_sheet(
    strips: Sequence[Strip], columns: int, title: str, subtitle: str, width: int = FACE
) -> Figure:
    """Draw strips of faces below each other.

    Args:
        strips: All with images of the same size.
        columns: Images in a row.
        title: First line of the picture.
        subtitle: Second line: how a caption is read.
        width: Wished width of an image in dots; each pixel is enlarged by a whole number.
    """
    layout = _Layout()
    for strip in strips:
        _place(layout, strip, columns, width)
    across = max([left + tile.shape[1] for left, _, tile in layout.tiles], default=0) + GAP
    canvas = np.full((max(1, layout.height), across, 3), 255, np.uint8)
    for left, top, tile in layout.tiles:
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    fig = figure_around(canvas, title, subtitle)
    for left, top, words, style in layout.texts:
        write(fig.axes[0], left, top, words, ha="left", va="top", **style)
    return fig


def _place(layout: _Layout, strip: Strip, columns: int, width: int) -> None:
    """Put a strip below what is there."""
    if strip.heading:
        style = {"size": LABEL, "weight": "bold"}
        layout.texts.append((0, layout.height, strip.heading, style))
        layout.height += _HEADING
    tiles = resize_evenly(to_rgb_bytes(strip.images), width) if len(strip.images) else ()
    for start in range(0, len(tiles), columns):
        row = slice(start, start + columns)
        layout.height += _place_row(layout, list(zip(tiles[row], strip.captions[row], strict=True)))


def _place_row(layout: _Layout, row: Sequence[tuple[np.ndarray, Sequence[str]]]) -> int:
    """Put a row of images and captions at the layout's lower end; return its height in dots."""
    height, width = row[0][0].shape[:2]
    for number, (tile, caption) in enumerate(row):
        left = number * (width + GAP)
        layout.tiles.append((left, layout.height, tile))
        layout.texts += _lines(caption, left, layout.height + height + 4, width)
    return int(height + 4 + _LINE * max(len(caption) for _, caption in row) + _SPACE)


def _lines(caption: Sequence[str], left: int, top: int, width: int) -> Iterator[tuple[int, int, str, Any]]:
    for number, words in enumerate(caption):  # emotions and probabilities run narrower than `shorten` reckons
        style = {"size": SMALL, "color": MUTED if number else INK}
        yield left, top + number * _LINE, shorten(words, 1.1 * width / DPI, SMALL), style
