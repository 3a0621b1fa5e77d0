"""The pictures of a calibration: the reliability diagram, and accuracy against coverage."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer.analysis.calibration_error import BINS, equal_mass
from fer.analysis.intervals import wilson
from fer.analysis.selective import Threshold, risk_coverage
from fer.analysis.style import ACCENT, INK, LABEL, MUTED, PAPER, SMALL, new_figure, style_axes, write


def plot_reliability(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw accuracy against confidence in bins of equally many images, one panel beside the other.

    Each dot is a bin, its bar the 95 % interval of its accuracy (Wilson); on the diagonal a model is as often
    right as it is sure. Below, how the confidences are spread.

    Args:
        panels: Heading -> confidence ``(N,)`` in [0, 1] and correct, bool ``(N,)``.
        title: First line of the picture.
    """
    count = len(next(iter(panels.values()))[0])
    words = f"n = {count:,}, {BINS} bins of equally many images, 95 % intervals"
    fig = new_figure(0.8 + 4.1 * len(panels), 5.6, title, words)
    grid = fig.add_gridspec(2, len(panels), height_ratios=(5, 1))
    for column, (heading, (confidence, correct)) in enumerate(panels.items()):
        ax = fig.add_subplot(grid[0, column])
        style_axes(ax, heading, grid="both")
        _draw_bins(ax, confidence, correct)
        _draw_spread(fig.add_subplot(grid[1, column], sharex=ax), confidence)
    return fig


def _draw_bins(ax: Axes, confidence: np.ndarray, correct: np.ndarray) -> None:
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    write(ax, 0.97, 0.05, "too sure\nbelow the line", ha="right", va="bottom", color=MUTED)
    write(ax, 0.03, 0.97, "not sure enough\nabove the line", ha="left", va="top", color=MUTED)
    index = equal_mass(confidence)
    for b in np.unique(index):
        rows = index == b
        mean, hits, count = confidence[rows].mean(), int(correct[rows].sum()), int(rows.sum())
        ax.plot([mean, mean], wilson(hits, count), color=ACCENT, linewidth=1.6, alpha=0.55)
        ax.plot(mean, hits / count, "o", color=ACCENT, markersize=5, markeredgecolor=PAPER)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_ylabel("accuracy", size=LABEL, color=INK)
    ax.tick_params(labelbottom=False)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _draw_spread(ax: Axes, confidence: np.ndarray) -> None:
    style_axes(ax)
    ax.hist(confidence, bins=np.linspace(0, 1, 41).tolist(), color=MUTED, alpha=0.35)
    ax.axvline(float(confidence.mean()), color=INK, linewidth=1)
    words = f" mean {confidence.mean():.0%}".replace("%", " %")
    side = "right" if confidence.mean() > 0.5 else "left"
    write(
        ax, confidence.mean(), 1.02, words.strip(), va="bottom", ha=side, transform=ax.get_xaxis_transform()
    )
    ax.set_yticks([])
    ax.set_xlabel("confidence", size=LABEL, color=INK)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def plot_risk_coverage(
    confidence: np.ndarray, correct: np.ndarray, thresholds: Sequence[Threshold], title: str
) -> Figure:
    """Draw the accuracy among the answered images against the share that is answered, surest first.

    Args:
        confidence: ``(N,)``.
        correct: bool ``(N,)``.
        thresholds: Marked where they can be reached.
        title: First line of the picture.
    """
    coverage, risk = risk_coverage(confidence, correct)
    words = f"n = {len(correct):,}, the surest answered first, band: 95 % interval"
    fig = new_figure(7, 4.6, title, words)
    ax = fig.add_subplot()
    style_axes(ax, grid="both")
    shown = np.arange(len(risk)) >= min(len(risk) - 1, max(20, len(risk) // 50))  # a few images are noise
    _draw_accuracy(ax, coverage[shown], risk[shown], np.arange(1, len(risk) + 1)[shown])
    reached = [threshold for threshold in thresholds if threshold.coverage is not None]
    for threshold in reached:
        _mark(ax, threshold)
    lowest = min(1 - float(risk[shown].max()), 0.95) - 0.06
    ax.set(xlim=(0, 1), ylim=(max(0.0, lowest), 1.0))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.set_xlabel("coverage: share of the images that is answered", size=LABEL, color=INK)
    ax.set_ylabel("accuracy among these", size=LABEL, color=INK)
    return fig


def _draw_accuracy(ax: Axes, coverage: np.ndarray, risk: np.ndarray, answered: np.ndarray) -> None:
    bounds = np.array([wilson((1 - r) * k, int(k)) for r, k in zip(risk, answered, strict=True)])
    ax.fill_between(coverage, bounds[:, 0], bounds[:, 1], color=ACCENT, alpha=0.15, linewidth=0)
    ax.plot(coverage, 1 - risk, color=ACCENT, linewidth=1.8)
    ax.axhline(1 - risk[-1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    words = f"all answered: {1 - risk[-1]:.1%}".replace("%", " %")
    write(ax, 0.01, 1 - risk[-1], words, ha="left", va="bottom", color=MUTED)


def _mark(ax: Axes, threshold: Threshold) -> None:
    """Mark the coverage that a threshold leaves and say what it promises."""
    assert threshold.coverage is not None
    assert threshold.accuracy is not None
    ax.plot(threshold.coverage, threshold.accuracy, "o", color=INK, markersize=5.5, markeredgecolor=PAPER)
    words = f"at least {threshold.wanted:.0%} from confidence {threshold.confidence:.0%}".replace("%", " %")
    place = (threshold.coverage, threshold.accuracy)
    ax.annotate(words, place, (8, 8), textcoords="offset points", size=SMALL, color=INK, parse_math=False)
