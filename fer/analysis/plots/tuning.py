"""Plots of searches before a training: loss against learning rate, and speed against batch size."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from fer.analysis.plots.style import ACCENT, FOREGROUND, MUTED, add_text, label_axes, new_figure, style_axes


def plot_lr_find(
    rates: Sequence[float],
    losses: Sequence[float],
    smooth: Sequence[float],
    rising: float | None,
    suggestion: float | None,
    title: str,
) -> Figure:
    """Plot the loss of each step against its learning rate, with the suggestion.

    Args:
        rates: Learning rates, ascending.
        losses: Loss of each step.
        smooth: Smoothed losses.
        rising: The rate from which the loss rises; None draws no mark.
        suggestion: The suggested rate; None draws no mark.
        title: First line.
    """
    about = "the loss did not fall, so there is no suggestion"
    if suggestion and rising:
        about = f"suggestion {suggestion:.2g}: a tenth of {rising:.2g}, from which the loss rises"
    fig = new_figure(7.5, 4.4, title, about)
    ax = fig.add_subplot()
    style_axes(ax, "", "both")
    ax.set_xscale("log")
    ax.plot(rates, losses, color=MUTED, alpha=0.35, linewidth=1)
    ax.plot(rates, smooth, color=ACCENT, linewidth=2)
    low, high = float(np.min(smooth)), float(smooth[0])
    # The curve starts high, so the lower left corner is free.
    for height, name, color in ((0.11, "smoothed", ACCENT), (0.04, "each step", MUTED)):
        add_text(ax, 0.02, height, name, color=color, ha="left", transform=ax.transAxes)
    # A diverging loss would flatten the part that matters.
    ax.set_ylim(low - 0.15 * (high - low + 0.1), high + 0.6 * (high - low + 0.1))
    ax.xaxis.set_minor_locator(NullLocator())
    for rate, name in ((suggestion, "suggestion"), (rising, "loss rises")):
        if rate:
            height = float(np.interp(np.log(rate), np.log(rates), smooth))
            ax.axvline(rate, color=FOREGROUND, linewidth=1, linestyle=(0, (4, 3)))
            ax.plot([rate], [height], "o", color=FOREGROUND, markersize=6)
            top = ax.get_ylim()[1]
            add_text(ax, rate / 1.15, top, f"{name} {rate:.2g}", ha="right", va="top", rotation=90)
    label_axes(ax, "learning rate", "training loss")
    return fig


def plot_batch_sizes(
    sizes: Sequence[int], speeds: Sequence[float], memory: Sequence[float], suggestion: int, title: str
) -> Figure:
    """Plot speed and memory against the batch size, with the suggestion.

    Args:
        sizes: Images per batch, ascending.
        speeds: Training images per second.
        memory: Peak memory in GB.
        suggestion: The suggested size.
        title: First line.
    """
    fig = new_figure(7.5, 4.4, title, f"suggestion {suggestion}: the smallest with 95 % of the highest speed")
    for number, (values, name) in enumerate(((speeds, "images per second"), (memory, "memory, GB"))):
        ax = fig.add_subplot(1, 2, number + 1)
        style_axes(ax, name, "y")
        ax.set_xscale("log", base=2)
        colors = [ACCENT if size == suggestion else MUTED for size in sizes]
        ax.plot(sizes, values, color=MUTED, linewidth=1.5, zorder=1)
        ax.scatter(
            sizes, values, color=colors, s=[60 if size == suggestion else 24 for size in sizes], zorder=2
        )
        ax.set_ylim(0, max(values) * 1.15)
        ax.xaxis.set_major_locator(FixedLocator(list(sizes)))
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(axis="x", rotation=45 if len(sizes) > 6 else 0)
        label_axes(ax, "batch size")
    return fig
