"""Plots of robustness: accuracy and calibration error by strength of each corruption, and corrupted faces."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.plots.style import (
    ACCENT,
    BACKGROUND,
    FOREGROUND,
    LABEL_SIZE,
    MUTED,
    SMALL_SIZE,
    add_text,
    format_as_percent,
    label_axes,
    new_figure,
    style_axes,
)

# Colour of the calibration error: distinguishable from the accent for colour-blind readers, and in gray
_ECE_COLOR = "#c2571a"
_NUM_COLUMNS = 4


def plot_robustness(
    panels: Mapping[str, tuple[Sequence[Estimate], Sequence[Estimate]]], title: str, subtitle: str
) -> Figure:
    """Plot accuracy and calibration error by strength, one panel for each corruption.

    Args:
        panels: Title -> accuracy and calibration error at strengths 0 (the images themselves), 1, 2, …
        title: First line of the header.
        subtitle: Second line.
    """
    num_rows = -(-len(panels) // _NUM_COLUMNS)
    fig = new_figure(10, 1 + 2.5 * num_rows, title, subtitle)
    axes = fig.subplots(num_rows, _NUM_COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    # The last row may be incomplete
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for index, (heading, (accuracy, ece)) in enumerate(panels.items()):
        ax = axes[index]
        style_axes(ax)
        ax.set_title(heading, loc="left", size=LABEL_SIZE, weight="bold", color=FOREGROUND, pad=8)
        _draw_line(ax, accuracy, ACCENT, "o-")
        _draw_line(ax, ece, _ECE_COLOR, "s--")
        clean = accuracy[0].value or 0.0
        ax.axhline(clean, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        ax.set_xticks(range(len(accuracy)))
        ax.tick_params(labelbottom=index + _NUM_COLUMNS >= len(panels))
        label_axes(ax, x="strength" if index + _NUM_COLUMNS >= len(panels) else "")
    axes[0].set_ylim(0, 1)
    format_as_percent(axes[0].yaxis)
    _add_legend(axes[len(panels)] if len(panels) < len(axes) else axes[0])
    return fig


def _draw_line(ax: Axes, estimates: Sequence[Estimate], color: str, style: str) -> None:
    values, lows, highs = (
        np.array([np.nan if (end := getattr(one, name)) is None else end for one in estimates], float)
        for name in ("value", "low", "high")
    )
    strengths = np.arange(len(values))
    ax.fill_between(strengths, lows, highs, color=color, alpha=0.18, linewidth=0)
    ax.plot(strengths, values, style, color=color, linewidth=1.6, markersize=4, markeredgecolor=BACKGROUND)


def _add_legend(ax: Axes) -> None:
    entries = (
        ("o-", ACCENT, 1.6, "accuracy"),
        ("s--", _ECE_COLOR, 1.6, "ECE"),
        ("--", MUTED, 0.9, "accuracy without corruption"),
    )
    handles = [
        ax.plot([], [], style, color=color, linewidth=width, markersize=4, label=text)[0]
        for style, color, width, text in entries
    ]
    ax.legend(
        handles=handles, loc="center left", frameon=False, fontsize=SMALL_SIZE, labelcolor=FOREGROUND,
        handlelength=2.6, borderaxespad=0,
    )  # fmt: skip


def plot_corrupted_faces(faces: Mapping[str, Sequence[np.ndarray]], title: str, subtitle: str) -> Figure:
    """Show one face under each corruption, a row each, at strengths 0, 1, 2, …

    Args:
        faces: Title -> images, uint8 ``(H, W, C)``, from strength 0 on.
        title: First line of the header.
        subtitle: Second line.
    """
    num_rows, num_columns = len(faces), max(map(len, faces.values()))
    fig = new_figure(1.6 + 0.95 * num_columns, 1.2 + 0.95 * num_rows, title, subtitle)
    ax = fig.add_subplot()
    for row, (name, images) in enumerate(faces.items()):
        add_text(ax, -0.12, row + 0.45, name, ha="right")
        for strength, image in enumerate(images):
            pixels = image.repeat(3, axis=2) if image.shape[2] == 1 else image
            ax.imshow(pixels, extent=(strength, strength + 0.9, row + 0.9, row))
    for strength in range(num_columns):
        add_text(ax, strength + 0.45, -0.1, str(strength) if strength else "none", va="bottom", color=MUTED)
    ax.set(xlim=(-1.4, num_columns), ylim=(num_rows, -0.3))
    ax.set_axis_off()
    return fig
