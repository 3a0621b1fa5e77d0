"""The pictures that a run leaves: learning curves, confusion matrix, rows of faces, scores by emotion.

Drawn with matplotlib's object-oriented API: no pyplot, no change to ``rcParams``, so several threads may draw
at once. Every function returns a ``Figure`` that the caller saves (:func:`save_figure`) or hands to a logger.
"""

import io
import math
import uuid
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.analysis.image_grid import plot_image_grid
from fer.analysis.style import ACCENT, INK, MUTED, SMALL, new_figure, style_axes, write
from fer.emotion_colors import EMOTION_COLORS
from fer.errors import FerError

__all__ = [
    "plot_confusion_matrix",
    "plot_image_grid",
    "plot_learning_curves",
    "plot_per_emotion",
    "png_bytes",
    "save_figure",
]

History = Sequence[Mapping[str, float]]
LOSSES = {"train": "train/loss", "val": "val/loss"}
SCORES = {"train accuracy": "train/accuracy", "val accuracy": "val/accuracy", "val macro-F1": "val/macro_f1"}
# The table beside the bars: the right edge of each column in points from the axes, and its heading
COLUMNS = {"F1": 48, "precision": 116, "recall": 166, "images": 214}
HEADINGS = {"F1": "■ F1", "precision": "▼ precision", "recall": "▲ recall", "images": "images"}


def plot_learning_curves(history: History, best_epoch: int | None, title: str) -> Figure:
    """Draw loss, scores and learning rate against the epoch.

    Values that are missing, None, NaN or infinite are left out, so rows may hold a part of an epoch.

    Args:
        history: Rows with ``epoch`` (else the row's position counts) and any of ``train/loss``, ``val/loss``,
            ``train/accuracy``, ``val/accuracy``, ``val/macro_f1``, ``val/uar`` (fractions) and ``lr``.
        best_epoch: The epoch whose weights were kept, counted as in ``epoch``; None draws no mark.
        title: First line of the picture.
    """
    rates = _series(history, "lr")
    fig = new_figure(10, 4.6, title, _best_line(history, best_epoch))
    grid = fig.add_gridspec(2, 2, height_ratios=(5, 1))
    losses = fig.add_subplot(grid[0, 0] if rates else grid[:, 0])
    scores = fig.add_subplot(grid[:, 1])
    _draw_lines(losses, "loss", {name: _series(history, key) for name, key in LOSSES.items()})
    _draw_lines(scores, "score", {name: _series(history, key) for name, key in SCORES.items()})
    scores.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    panels = [losses, scores]
    if rates:
        panels.append(_draw_rates(fig.add_subplot(grid[1, 0]), rates))
        losses.tick_params(labelbottom=False)
    _share_epochs(panels, list(_series(history, "epoch")), best_epoch)
    return fig


def _series(history: History, key: str) -> dict[float, float]:
    """Return epoch -> finite value of ``key``, in order; the last row of an epoch counts."""
    pairs = [(row.get("epoch", position), row.get(key)) for position, row in enumerate(history)]
    if key == "epoch":
        pairs = [(epoch, epoch) for epoch, _ in pairs]
    return dict(sorted((epoch, v) for epoch, v in pairs if v is not None and math.isfinite(v)))


def _best_line(history: History, best_epoch: int | None) -> str:
    """Say in one line what the best epoch reached, or how many epochs there are."""
    if best_epoch is None:
        return f"{len(_series(history, 'epoch'))} epochs" if history else "no epoch was finished"
    names = {"val/accuracy": "val accuracy", "val/macro_f1": "macro-F1", "val/uar": "UAR"}
    found = {name: _series(history, key).get(best_epoch) for key, name in names.items()}
    scores = [f"{name} {value:.1%}".replace("%", " %") for name, value in found.items() if value is not None]
    return "  ·  ".join([f"best epoch {best_epoch}", *scores])


def _draw_lines(ax: Axes, title: str, lines: Mapping[str, Mapping[float, float]]) -> None:
    """Draw a line for each series and write its name beside its end: train gray, val blue, F1 dashed."""
    style_axes(ax, title)
    drawn = {name: points for name, points in lines.items() if points}
    for name, points in drawn.items():
        color, dash = MUTED if "train" in name else ACCENT, (0, (4, 1.5)) if "F1" in name else "solid"
        epochs, values = list(points), list(points.values())
        ax.plot(epochs, values, color=color, linestyle=dash, marker=_dot(points), linewidth=1.8)
    low, high = ax.get_ylim()
    ends = [(list(points.values())[-1] - low) / (high - low) for points in drawn.values()]
    for name, height in zip(drawn, _spread(ends, gap=0.065), strict=True):
        color = MUTED if "train" in name else ACCENT
        write(ax, 1.02, height, name, ha="left", color=color, weight="bold", transform=ax.transAxes)
    if not drawn:
        _note(ax, "not recorded")


def _dot(points: Mapping[float, float]) -> str:
    """Return the marker of a line: a single point has no line to be seen by."""
    return "o" if len(points) == 1 else ""


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Push labels apart upwards until neighbours are ``gap`` apart, then all down to stay below the top."""
    placed, order = list(heights), np.argsort(heights)
    for lower, upper in pairwise(order):
        placed[upper] = max(placed[upper], placed[lower] + gap)
    overflow = max([height - 1 for height in placed], default=0)
    return [height - max(0, overflow) for height in placed]


def _draw_rates(ax: Axes, rates: Mapping[float, float]) -> Axes:
    """Draw the learning rate as a strip with ticks at zero and at its peak only."""
    style_axes(ax)
    peak = max(rates.values())
    epochs, values = list(rates), list(rates.values())
    ax.fill_between(epochs, values, color=MUTED, alpha=0.25, linewidth=0)
    ax.plot(epochs, values, color=MUTED, marker=_dot(rates), linewidth=1.2)
    ax.set_ylim(0, 1.15 * peak or 1)
    ax.set_yticks(sorted({0, peak}), ["0", f"{peak:.2g}"][: len({0, peak})])
    write(ax, 1.02, 0.5, "learning\nrate", ha="left", color=MUTED, weight="bold", transform=ax.transAxes)
    return ax


def _share_epochs(panels: Sequence[Axes], epochs: Sequence[float], best_epoch: int | None) -> None:
    """Give every panel the same epochs and mark the best one."""
    marks = [*epochs, *([] if best_epoch is None else [best_epoch])] or [0]
    room = 0.02 * (max(marks) - min(marks)) or 0.5
    for ax in panels:
        ax.set_xlim(min(marks) - room, max(marks) + room)
        ax.set_xlabel("" if ax is panels[0] and len(panels) == 3 else "epoch", size=SMALL, color=MUTED)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if best_epoch is not None:
            ax.axvline(best_epoch, color=INK, linewidth=1, linestyle=(0, (2, 2)), label="best epoch")
    if best_epoch is not None:
        for ax in panels[:2]:
            write(ax, best_epoch, 1.01, "best", va="bottom", transform=ax.get_xaxis_transform())


def _note(ax: Axes, words: str) -> None:
    """Say in the middle of an empty panel why it is empty."""
    ax.set_yticks([])
    write(ax, 0.5, 0.5, words, color=MUTED, transform=ax.transAxes)


def plot_per_emotion(
    f1: Mapping[str, float],
    precision: Mapping[str, float],
    recall: Mapping[str, float],
    support: Mapping[str, int],
    title: str = "Scores by emotion",
) -> Figure:
    """Draw precision, recall and F1 of each emotion, the best F1 on top; the figures stand at the right.

    Args:
        f1: Emotion -> F1 in [0, 1]; NaN where it is not defined, which puts the emotion last.
        precision: The same for precision; may lack emotions.
        recall: The same for recall; may lack emotions.
        support: Emotion -> number of images; an emotion with none is marked so.
        title: First line of the picture.
    """
    order = sorted(f1, key=lambda name: -f1[name] if math.isfinite(f1[name]) else math.inf)
    fig = new_figure(8, 1.75 + 0.45 * max(1, len(order)), title, "F1, precision and recall by emotion, in %")
    ax = fig.add_subplot()
    style_axes(ax, grid="x")
    for row, name in enumerate(order):
        metrics = {"F1": f1, "precision": precision, "recall": recall}
        scores = {metric: values.get(name, math.nan) for metric, values in metrics.items()}
        _draw_emotion(ax, row, name, scores, support.get(name))
    for column, heading in HEADINGS.items() if order else ():
        _write_figure(ax, column, -0.75, heading, color=MUTED)
    ax.set_yticks(range(len(order)), order, color=INK, parse_math=False)
    ax.set(xlim=(0, 1), ylim=(max(1, len(order)) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    if not order:
        _note(ax, "no emotions")
    return fig


def _draw_emotion(ax: Axes, row: int, name: str, scores: Mapping[str, float], images: int | None) -> None:
    """Draw a row: a bar as long as F1, precision marked above it, recall below, and the figures."""
    _write_figure(ax, "images", row, "n/a" if images is None else f"{images:,}", color=MUTED)
    if images == 0:
        write(ax, 0.01, row, "no images", ha="left", color=MUTED)
        return
    if math.isfinite(scores["F1"]):
        ax.barh(row, scores["F1"], height=0.34, color=EMOTION_COLORS.get(name, MUTED))
    for metric, marker, side in (("precision", "v", -0.29), ("recall", "^", 0.29)):
        ax.plot(scores[metric], row + side, marker, color=INK, markersize=4.5, clip_on=False)
    for metric, score in scores.items():
        words = f"{100 * score:.1f}" if math.isfinite(score) else "n/a"
        _write_figure(ax, metric, row, words, weight="bold" if metric == "F1" else "normal")


def _write_figure(ax: Axes, column: str, row: float, words: str, **style: str) -> None:
    """Write into the table at the right of the axes."""
    fig = ax.get_figure(root=True)
    assert fig is not None
    shift = ScaledTranslation(COLUMNS[column] / 72, 0, fig.dpi_scale_trans)
    place = ax.get_yaxis_transform() + shift
    write(ax, 1, row, words, ha="right", va="center_baseline", transform=place, **style)


def png_bytes(fig: Figure) -> bytes:
    """Return ``fig`` as a PNG file."""
    picture = io.BytesIO()
    fig.savefig(picture, format="png", dpi=fig.dpi, facecolor=fig.get_facecolor())
    return picture.getvalue()


def save_figure(fig: Figure, path: Path) -> None:
    """Write ``fig`` to ``path`` as PNG in one step, so that nobody reads half a picture; make the folder.

    Raises:
        FerError: The folder cannot be written.
    """
    picture = png_bytes(fig)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(picture)
        partial.replace(path)
    except OSError as error:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise FerError(f"{path}: the picture cannot be written ({error}). Choose another folder.") from error
