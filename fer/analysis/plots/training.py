"""Plots of a training run: learning curves, and scores by emotion."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from fer.analysis.plots.style import (
    ACCENT,
    FOREGROUND,
    MUTED,
    SMALL_SIZE,
    add_text,
    format_as_percent,
    new_figure,
    spread_labels,
    style_axes,
)
from fer.core.labels import emotion_colors
from fer.core.text import counted, percent

# One row of metrics per epoch or part of an epoch
History = Sequence[Mapping[str, float]]
# Name of a line -> its key in the history
LOSSES = {"train": "train/loss", "val": "val/loss"}
SCORES = {"train accuracy": "train/accuracy", "val accuracy": "val/accuracy", "val macro-F1": "val/macro_f1"}
# Table at the right of the bars: right edge of each column in points from the axes, and its heading
COLUMNS = {"F1": 48, "precision": 116, "recall": 166, "images": 214}
HEADINGS = {"F1": "■ F1", "precision": "▼ precision", "recall": "▲ recall", "images": "images"}


def plot_learning_curves(history: History, best_epoch: int | None, title: str) -> Figure:
    """Plot loss, scores and learning rate against the epoch.

    Values that are missing, None, NaN or infinite are left out, so a row may hold a part of the metrics of an
    epoch.

    Args:
        history: Rows with ``epoch`` (default: the position of the row) and any of ``train/loss``,
            ``val/loss``, ``train/accuracy``, ``val/accuracy``, ``val/macro_f1``, ``val/uar`` (fractions) and
            ``lr``.
        best_epoch: The epoch of the best checkpoint, counted as in ``epoch``; None draws no mark.
    """
    rates = _series(history, "lr")
    fig = new_figure(10, 4.6, title, _best_epoch_text(history, best_epoch))
    grid = fig.add_gridspec(2, 2, height_ratios=(5, 1))
    losses = fig.add_subplot(grid[0, 0] if rates else grid[:, 0])
    scores = fig.add_subplot(grid[:, 1])
    _draw_lines(losses, "loss", {name: _series(history, key) for name, key in LOSSES.items()})
    _draw_lines(scores, "score", {name: _series(history, key) for name, key in SCORES.items()})
    format_as_percent(scores.yaxis)
    panels = [losses, scores]
    if rates:
        panels.append(_draw_rates(fig.add_subplot(grid[1, 0]), rates))
        losses.tick_params(labelbottom=False)
    _set_epochs(panels, list(_series(history, "epoch")), best_epoch)
    return fig


def _series(history: History, key: str) -> dict[float, float]:
    """Return epoch -> finite value of ``key``, in order; of several rows of an epoch, the last."""
    pairs = [(row.get("epoch", position), row.get(key)) for position, row in enumerate(history)]
    if key == "epoch":
        pairs = [(epoch, epoch) for epoch, _ in pairs]
    return dict(sorted((epoch, v) for epoch, v in pairs if v is not None and math.isfinite(v)))


def _best_epoch_text(history: History, best_epoch: int | None) -> str:
    """Return the scores of the best epoch, or the number of epochs, as one line."""
    if best_epoch is None:
        return counted(len(_series(history, "epoch")), "epoch") if history else "no finished epoch"
    names = {"val/accuracy": "val accuracy", "val/macro_f1": "macro-F1", "val/uar": "UAR"}
    values = {name: _series(history, key).get(best_epoch) for key, name in names.items()}
    scores = [f"{name} {percent(value)}" for name, value in values.items() if value is not None]
    return "  ·  ".join([f"best epoch {best_epoch}", *scores])


def _draw_lines(ax: Axes, title: str, lines: Mapping[str, Mapping[float, float]]) -> None:
    """Draw a line for each series with its name at the end: train gray, val blue, F1 dashed."""
    style_axes(ax, title)
    recorded = {name: points for name, points in lines.items() if points}
    for name, points in recorded.items():
        color, dash = MUTED if "train" in name else ACCENT, (0, (4, 1.5)) if "F1" in name else "solid"
        epochs, values = list(points), list(points.values())
        # A single point would be invisible without a marker
        marker = "o" if len(points) == 1 else ""
        ax.plot(epochs, values, color=color, linestyle=dash, marker=marker, linewidth=1.8)
    low, high = ax.get_ylim()
    ends = [(list(points.values())[-1] - low) / (high - low) for points in recorded.values()]
    for name, height in zip(recorded, spread_labels(ends, gap=0.065), strict=True):
        color = MUTED if "train" in name else ACCENT
        add_text(ax, 1.02, height, name, ha="left", color=color, weight="bold", transform=ax.transAxes)
    if not recorded:
        _explain_empty(ax, "not recorded")


def _draw_rates(ax: Axes, rates: Mapping[float, float]) -> Axes:
    """Draw the learning rate as an area with ticks at zero and at its maximum."""
    style_axes(ax)
    peak = max(rates.values())
    epochs, values = list(rates), list(rates.values())
    ax.fill_between(epochs, values, color=MUTED, alpha=0.25, linewidth=0)
    ax.plot(epochs, values, color=MUTED, marker="o" if len(rates) == 1 else "", linewidth=1.2)
    ax.set_ylim(0, 1.15 * peak or 1)
    ax.set_yticks(sorted({0, peak}), ["0", f"{peak:.2g}"][: len({0, peak})])
    add_text(ax, 1.02, 0.5, "learning\nrate", ha="left", color=MUTED, weight="bold", transform=ax.transAxes)
    return ax


def _set_epochs(panels: Sequence[Axes], epochs: Sequence[float], best_epoch: int | None) -> None:
    """Give all panels the same range of epochs and mark the best epoch."""
    positions = [*epochs, *([] if best_epoch is None else [best_epoch])] or [0]
    padding = 0.02 * (max(positions) - min(positions)) or 0.5
    for ax in panels:
        ax.set_xlim(min(positions) - padding, max(positions) + padding)
        ax.set_xlabel("" if ax is panels[0] and len(panels) == 3 else "epoch", size=SMALL_SIZE, color=MUTED)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if best_epoch is not None:
            ax.axvline(best_epoch, color=FOREGROUND, linewidth=1, linestyle=(0, (2, 2)), label="best epoch")
    if best_epoch is not None:
        for ax in panels[:2]:
            add_text(ax, best_epoch, 1.01, "best", va="bottom", transform=ax.get_xaxis_transform())


def _explain_empty(ax: Axes, text: str) -> None:
    """Write in the middle of an empty panel why it is empty."""
    ax.set_yticks([])
    add_text(ax, 0.5, 0.5, text, color=MUTED, transform=ax.transAxes)


def plot_per_emotion(
    f1: Mapping[str, float],
    precision: Mapping[str, float],
    recall: Mapping[str, float],
    support: Mapping[str, int],
    title: str = "Scores by emotion",
) -> Figure:
    """Plot precision, recall and F1 of each emotion, sorted by F1, with a table at the right.

    Args:
        f1: Emotion -> F1 in [0, 1]; an emotion with NaN (undefined) is last.
        precision: Emotion -> precision; emotions may be missing.
        recall: Emotion -> recall; emotions may be missing.
        support: Emotion -> number of images; an emotion with 0 is marked "no images".
    """
    order = sorted(f1, key=lambda name: -f1[name] if math.isfinite(f1[name]) else math.inf)
    fig = new_figure(8, 1.75 + 0.45 * max(1, len(order)), title, "F1, precision and recall by emotion, in %")
    ax = fig.add_subplot()
    style_axes(ax, grid="x")
    colors = emotion_colors(f1)
    for row, name in enumerate(order):
        metrics = {"F1": f1, "precision": precision, "recall": recall}
        scores = {metric: values.get(name, math.nan) for metric, values in metrics.items()}
        _draw_emotion(ax, row, colors[name], scores, support.get(name))
    for column, heading in HEADINGS.items() if order else ():
        _add_table_cell(ax, column, -0.75, heading, color=MUTED)
    ax.set_yticks(range(len(order)), order, color=FOREGROUND, parse_math=False)
    ax.set(xlim=(0, 1), ylim=(max(1, len(order)) - 0.5, -0.5))
    format_as_percent(ax.xaxis)
    if not order:
        _explain_empty(ax, "no emotions")
    return fig


def _draw_emotion(ax: Axes, row: int, color: str, scores: Mapping[str, float], images: int | None) -> None:
    """Draw one row: a bar for F1, markers for precision above and recall below it, and the table cells."""
    _add_table_cell(ax, "images", row, "n/a" if images is None else f"{images:,}", color=MUTED)
    if images == 0:
        add_text(ax, 0.01, row, "no images", ha="left", color=MUTED)
        return
    if math.isfinite(scores["F1"]):
        ax.barh(row, scores["F1"], height=0.34, color=color)
    for metric, marker, side in (("precision", "v", -0.29), ("recall", "^", 0.29)):
        ax.plot(scores[metric], row + side, marker, color=FOREGROUND, markersize=4.5, clip_on=False)
    for metric, score in scores.items():
        text = f"{100 * score:.1f}" if math.isfinite(score) else "n/a"
        _add_table_cell(ax, metric, row, text, weight="bold" if metric == "F1" else "normal")


def _add_table_cell(ax: Axes, column: str, row: float, text: str, **style: str) -> None:
    """Write a cell of the table at the right of the axes."""
    fig = ax.get_figure(root=True)
    assert fig is not None
    shift = ScaledTranslation(COLUMNS[column] / 72, 0, fig.dpi_scale_trans)
    transform = ax.get_yaxis_transform() + shift
    add_text(ax, 1, row, text, ha="right", va="center_baseline", transform=transform, **style)
