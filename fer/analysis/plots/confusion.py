"""Confusion matrix plot: correct cells in blue, errors in orange, percentage and count in every cell."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fer.analysis.metrics.estimate import format_percent
from fer.analysis.plots.style import (
    BACKGROUND,
    FOREGROUND,
    LABEL_SIZE,
    NO_DATA,
    add_text,
    label_axes,
    new_figure,
    style_axes,
)
from fer.core.errors import FerError
from fer.core.text import percent

# Light enough at full saturation for a text contrast above 4.5 to 1 (WCAG 2.2) in every cell
CORRECT_COLOR, ERROR_COLOR = "#6aa6e0", "#f08c5a"
Axis = Literal["true", "predicted"]


def plot_confusion_matrix(
    counts: np.ndarray, names: Sequence[str], title: str, normalize: Axis = "true"
) -> Figure:
    """Plot a confusion matrix: rows are true emotions, columns predicted ones.

    Every cell shows a percentage and a count. Cells of an emotion without images show "n/a", not 0 %.

    Args:
        counts: Integers ``(K, K)``, rows true, columns predicted.
        names: The K emotions in the order of ``counts``.
        normalize: ``"true"``: percentages of each row, recall on the diagonal; ``"predicted"``: of each
            column, precision on the diagonal.

    Raises:
        FerError: ``counts`` is not ``(K, K)`` for the K names.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(names), len(names)) or not names:
        raise FerError(
            f"Confusion matrix: expected counts of shape (K, K) for K names, got {counts.shape} for "
            f"{len(names)} names ({', '.join(names)}). Pass the emotions of the counts."
        )
    support = counts.sum(axis=0, keepdims=True) if normalize == "predicted" else counts.sum(1, keepdims=True)
    weights = counts / np.maximum(support, 1)
    support = np.broadcast_to(support, counts.shape)
    side = max(6.4, 1.5 + 0.8 * len(names))
    total = int(counts.sum())
    accuracy = f"accuracy {percent(np.trace(counts) / total)}  ·  n = {total:,}" if total else "no images"
    fig = new_figure(side, side + 0.2, title, accuracy)
    ax = fig.add_subplot()
    ax.imshow(_cell_colors(weights, support))
    _label_axes(ax, names, counts, normalize)
    for row, column in np.ndindex(*counts.shape):
        _write_cell(ax, row, column, int(counts[row, column]), int(support[row, column]))
    return fig


def _cell_colors(weights: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return RGB in [0, 1] ``(K, K, 3)``: white at weight 0, blue (diagonal) or orange at 1.

    Cells of a row or column without images are gray.
    """
    is_correct, background = np.eye(len(support), dtype=bool)[..., None], np.array(to_rgb(BACKGROUND))
    saturated = np.where(is_correct, to_rgb(CORRECT_COLOR), to_rgb(ERROR_COLOR))
    colors = background + weights[..., None] * (saturated - background)
    colors[support == 0] = to_rgb(NO_DATA)
    return colors


def _write_cell(ax: Axes, row: int, column: int, count: int, support: int) -> None:
    """Write the percentage large above the middle of the cell, and the count small below it."""
    fraction, number = (format_percent(count / support), f"{count:,}") if support else ("n/a", "")
    weight = "bold" if row == column else "normal"
    add_text(ax, column, row + 0.04, fraction, size=LABEL_SIZE, weight=weight, va="bottom")
    add_text(ax, column, row + 0.1, number, va="top")


def _label_axes(ax: Axes, names: Sequence[str], counts: np.ndarray, counted: Axis) -> None:
    """Label rows and columns, one of them with numbers of images, and separate the cells by white lines."""
    positions = np.arange(len(names))
    by_row = counted == "true"
    totals = counts.sum(axis=1 if by_row else 0)
    counted_names = [
        f"{name}\n{f'{n:,}' if n else 'no images'}" for name, n in zip(names, totals, strict=True)
    ]
    style_axes(ax)
    rotated = max(map(len, names)) > 10
    columns = names if by_row else counted_names
    ax.set_xticks(positions, columns, rotation=35 if rotated else 0, ha="right" if rotated else "center")
    ax.set_yticks(positions, counted_names if by_row else names)
    ax.grid(False)
    ax.set_xticks(positions[1:] - 0.5, minor=True)
    ax.set_yticks(positions[1:] - 0.5, minor=True)
    ax.grid(which="minor", color=BACKGROUND, linewidth=2)
    ax.tick_params(which="both", length=0, labelcolor=FOREGROUND)
    ax.set_axisbelow(False)
    suffix = ", number of images"
    predicted, true = ("", suffix) if by_row else (suffix, "")
    label_axes(ax, f"predicted emotion{predicted}", f"true emotion{true}", labelpad=8)
    for tick in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        tick.set_parse_math(False)
