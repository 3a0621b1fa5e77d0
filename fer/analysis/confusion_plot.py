"""A confusion matrix as a picture: hits in blue, confusions in orange, share and count in every cell."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fer.analysis.style import INK, LABEL, NO_DATA, PAPER, SMALL, new_figure, style_axes, write
from fer.errors import FerError

# Light enough at full strength that ink keeps a contrast above 4.5 to 1 (WCAG 2.2) in every cell.
HIT_CELL, MISS_CELL = "#6aa6e0", "#f08c5a"


Axis = Literal["true", "predicted"]


def plot_confusion_matrix(
    counts: np.ndarray, names: Sequence[str], title: str, normalize: Axis | None = "true"
) -> Figure:
    """Draw a confusion matrix: a row a true emotion, a column a predicted one.

    Every cell holds a share and its count. An emotion without an image is marked so, not as 0 %.

    Args:
        counts: Integers ``(K, K)``, rows true, columns predicted.
        names: The K emotions in the order of ``counts``.
        title: First line of the picture.
        normalize: ``"true"``: shares of each row, recall on the diagonal; ``"predicted"``: of each column,
            precision on it; ``None``: the count is shaded and large, the share of the row small.

    Raises:
        FerError: ``counts`` is not ``(K, K)`` for the K names.
    """
    counts = np.asarray(counts)
    _check_counts(counts, names)
    support = counts.sum(axis=0, keepdims=True) if normalize == "predicted" else counts.sum(1, keepdims=True)
    weights = counts / (max(1, counts.max()) if normalize is None else np.maximum(support, 1))
    support = np.broadcast_to(support, counts.shape)
    side = max(4.6, 1.5 + 0.8 * len(names))
    fig = new_figure(side, side + 0.2, title, _accuracy_line(counts))
    ax = fig.add_subplot()
    ax.imshow(_cell_colors(weights, support))
    _label_axes(ax, names, counts, normalize or "true")
    for row, column in np.ndindex(*counts.shape):
        words = _cell_words(int(counts[row, column]), int(support[row, column]))
        _write_cell(ax, row, column, words if normalize else words[::-1])
    return fig


def _check_counts(counts: np.ndarray, names: Sequence[str]) -> None:
    if counts.shape != (len(names), len(names)) or not names:
        raise FerError(
            f"Confusion matrix: expected counts of shape (K, K) for K names, got {counts.shape} for "
            f"{len(names)} names ({', '.join(names)}). Pass the names that the counts were made with."
        )


def _accuracy_line(counts: np.ndarray) -> str:
    total = int(counts.sum())
    return f"accuracy {100 * np.trace(counts) / total:.1f} %  ·  n = {total:,}" if total else "no images"


def _cell_colors(weights: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return RGB in [0, 1] ``(K, K, 3)``: white at weight 0, blue (diagonal) or orange at 1.

    A cell that is a share of no image is gray.
    """
    full = np.where(np.eye(len(support), dtype=bool)[..., None], to_rgb(HIT_CELL), to_rgb(MISS_CELL))
    colors = np.array(to_rgb(PAPER)) + weights[..., None] * (full - np.array(to_rgb(PAPER)))
    colors[support == 0] = to_rgb(NO_DATA)
    return colors


def _cell_words(count: int, support: int) -> tuple[str, str]:
    """Return share and count. A share is rounded to 0 % or 100 % only where it is exactly that."""
    if support == 0:
        return "n/a", ""
    percent = 100 * count / support
    if 0 < percent < 0.5:
        return "<1 %", f"{count:,}"
    return (">99 %" if 99.5 <= percent < 100 else f"{percent:.0f} %"), f"{count:,}"


def _write_cell(ax: Axes, row: int, column: int, words: tuple[str, str]) -> None:
    """Write the large words just above the middle of the cell and the small ones just below."""
    weight = "bold" if row == column else "normal"
    write(ax, column, row + 0.04, words[0], size=LABEL, weight=weight, va="bottom")
    write(ax, column, row + 0.1, words[1], size=SMALL, va="top")


def _label_axes(ax: Axes, names: Sequence[str], counts: np.ndarray, counted: Axis) -> None:
    """Name rows and columns, one of them with its number of images, and part the cells by white lines."""
    places = np.arange(len(names))
    by_row = counted == "true"
    totals = counts.sum(axis=1 if by_row else 0)
    long = [f"{name}\n{f'{n:,}' if n else 'no images'}" for name, n in zip(names, totals, strict=True)]
    style_axes(ax)
    crowded = max(map(len, names)) > 10
    columns = names if by_row else long
    ax.set_xticks(places, columns, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    ax.set_yticks(places, long if by_row else names)
    ax.grid(False)
    ax.set_xticks(places[1:] - 0.5, minor=True)
    ax.set_yticks(places[1:] - 0.5, minor=True)
    ax.grid(which="minor", color=PAPER, linewidth=2)
    ax.tick_params(which="both", length=0, labelcolor=INK)
    ax.set_axisbelow(False)
    number = " and its number of images"
    ax.set_xlabel(f"predicted emotion{'' if by_row else number}", size=LABEL, color=INK, labelpad=8)
    ax.set_ylabel(f"true emotion{number if by_row else ''}", size=LABEL, color=INK, labelpad=8)
    for tick in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        tick.set_parse_math(False)
