"""Calibration plots: the reliability diagram, and the risk-coverage curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer.analysis.metrics.calibration import NUM_BINS, equal_mass_bins
from fer.analysis.metrics.intervals import wilson_interval
from fer.analysis.metrics.selective import Threshold, risk_coverage
from fer.analysis.plots.style import (
    ACCENT,
    BACKGROUND,
    FOREGROUND,
    MUTED,
    SMALL_SIZE,
    add_text,
    format_as_percent,
    label_axes,
    new_figure,
    style_axes,
)
from fer.core.text import percent


def plot_reliability(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Plot a reliability diagram: accuracy against confidence in equal-mass bins, panels side by side.

    Each dot is a bin, with the 95 % interval of its accuracy (Wilson). On the diagonal, accuracy equals
    confidence. The histogram below shows the distribution of the confidence.

    Args:
        panels: Panel title -> confidence ``(N,)`` in [0, 1], and correct, bool ``(N,)``.
    """
    count = len(next(iter(panels.values()))[0])
    subtitle = f"n = {count:,}, {NUM_BINS} bins of equal mass, 95 % intervals"
    fig = new_figure(0.8 + 4.1 * len(panels), 5.6, title, subtitle)
    grid = fig.add_gridspec(2, len(panels), height_ratios=(5, 1))
    for column, (heading, (confidence, correct)) in enumerate(panels.items()):
        ax = fig.add_subplot(grid[0, column])
        style_axes(ax, heading, grid="both")
        _draw_bins(ax, confidence, correct)
        _draw_histogram(fig.add_subplot(grid[1, column], sharex=ax), confidence)
    return fig


def _draw_bins(ax: Axes, confidence: np.ndarray, correct: np.ndarray) -> None:
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    add_text(ax, 0.97, 0.05, "overconfident\nbelow the line", ha="right", va="bottom", color=MUTED)
    add_text(ax, 0.03, 0.97, "underconfident\nabove the line", ha="left", va="top", color=MUTED)
    index = equal_mass_bins(confidence)
    for b in np.unique(index):
        rows = index == b
        mean, hits, count = confidence[rows].mean(), int(correct[rows].sum()), int(rows.sum())
        ax.plot([mean, mean], wilson_interval(hits, count), color=ACCENT, linewidth=1.6, alpha=0.55)
        ax.plot(mean, hits / count, "o", color=ACCENT, markersize=5, markeredgecolor=BACKGROUND)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    label_axes(ax, y="accuracy")
    ax.tick_params(labelbottom=False)
    format_as_percent(ax.yaxis)


def _draw_histogram(ax: Axes, confidence: np.ndarray) -> None:
    style_axes(ax)
    ax.hist(confidence, bins=np.linspace(0, 1, 41).tolist(), color=MUTED, alpha=0.35)
    mean = float(confidence.mean())
    ax.axvline(mean, color=FOREGROUND, linewidth=1)
    side, above = "right" if mean > 0.5 else "left", ax.get_xaxis_transform()
    add_text(ax, mean, 1.02, f"mean {percent(mean, 0)}", va="bottom", ha=side, transform=above)
    ax.set_yticks([])
    label_axes(ax, x="confidence")
    format_as_percent(ax.xaxis)


def plot_risk_coverage(
    confidence: np.ndarray, correct: np.ndarray, thresholds: Sequence[Threshold], title: str
) -> Figure:
    """Plot the accuracy of the answered images against coverage, the most confident images first.

    Args:
        confidence: ``(N,)``.
        correct: bool ``(N,)``.
        thresholds: Confidence thresholds to mark; those without a value are skipped.
    """
    coverage, risk = risk_coverage(confidence, correct)
    subtitle = f"n = {len(correct):,}, most confident images first, band: 95 % interval"
    fig = new_figure(7, 4.6, title, subtitle)
    ax = fig.add_subplot()
    style_axes(ax, grid="both")
    # The accuracy of the first few images is noise
    shown = np.arange(len(risk)) >= min(len(risk) - 1, max(20, len(risk) // 50))
    _draw_accuracy(ax, coverage[shown], risk[shown], np.arange(1, len(risk) + 1)[shown])
    for threshold in thresholds:
        _mark_threshold(ax, threshold)
    lowest = min(1 - float(risk[shown].max()), 0.95) - 0.06
    ax.set(xlim=(0, 1), ylim=(max(0.0, lowest), 1.0))
    format_as_percent(ax.xaxis, ax.yaxis)
    label_axes(ax, "coverage: fraction of images answered", "accuracy on answered images")
    return fig


def _draw_accuracy(ax: Axes, coverage: np.ndarray, risk: np.ndarray, answered: np.ndarray) -> None:
    bounds = np.array([wilson_interval((1 - r) * k, int(k)) for r, k in zip(risk, answered, strict=True)])
    ax.fill_between(coverage, bounds[:, 0], bounds[:, 1], color=ACCENT, alpha=0.15, linewidth=0)
    ax.plot(coverage, 1 - risk, color=ACCENT, linewidth=1.8)
    overall = 1 - risk[-1]
    ax.axhline(overall, color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    add_text(ax, 0.01, overall, f"all answered: {percent(overall)}", ha="left", va="bottom", color=MUTED)


def _mark_threshold(ax: Axes, threshold: Threshold) -> None:
    """Mark coverage and measured accuracy of a threshold, with the accuracy that it guarantees."""
    if threshold.coverage is None or threshold.accuracy is None or threshold.confidence is None:
        return
    point = (threshold.coverage, threshold.accuracy)
    ax.plot(*point, "o", color=FOREGROUND, markersize=5.5, markeredgecolor=BACKGROUND)
    text = f"at least {percent(threshold.wanted, 0)} from confidence {percent(threshold.confidence, 0)}"
    style: dict[str, Any] = {"size": SMALL_SIZE, "color": FOREGROUND, "parse_math": False}
    ax.annotate(text, point, (8, 8), textcoords="offset points", **style)
