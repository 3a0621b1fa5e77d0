"""Plot of the accuracy by slice: a dot with its interval for each slice, grouped by factor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib import figure
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from fer.analysis.figure import Estimate
from fer.analysis.style import (
    ACCENT,
    BACKGROUND,
    FOREGROUND,
    LABEL_SIZE,
    MUTED,
    add_text,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from fer.analysis.slices import Slice

# Additional rows between two factors
_FACTOR_GAP = 0.9


def plot_slices(slices: Sequence["Slice"], overall: Estimate) -> figure.Figure:
    """Plot the accuracy of each slice with its 95 % interval, and the accuracy on all images as a line.

    Filled dots are slices that differ significantly from the other images. A tick marks the accuracy expected
    from the emotions of the slice.

    Args:
        slices: Grouped by factor.
        overall: Accuracy on all images.
    """
    positions = _row_positions([one.factor for one in slices])
    height = 1.6 + 0.26 * (positions[-1] + 1 if positions else 1)
    legend = "filled dots: significant difference  ·  ticks: expected from its emotions"
    fig = new_figure(7, height, "Accuracy by slice", legend)
    ax = fig.add_subplot()
    style_axes(ax, grid="x")
    if overall.value is not None:
        ax.axvline(overall.value, color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    for position, one in zip(positions, slices, strict=True):
        _draw_slice(ax, position, one)
    names = [one.name for one in slices]
    ax.set_yticks(positions, names, color=FOREGROUND, parse_math=False)
    _label_factors(ax, [one.factor for one in slices], positions)
    ax.set_ylim((positions[-1] if positions else 0) + 0.6, -1.3)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return fig


def _row_positions(factors: Sequence[str]) -> list[float]:
    """Return the vertical position of each row, with space above the first row of a factor for its name."""
    positions: list[float] = []
    for i, factor in enumerate(factors):
        step = 0 if i == 0 else 1 if factor == factors[i - 1] else 1 + _FACTOR_GAP + 0.3
        positions.append((positions[-1] if positions else 0) + step)
    return positions


def _draw_slice(ax: Axes, position: float, one: "Slice") -> None:
    accuracy = one.accuracy
    if accuracy.value is None or accuracy.low is None or accuracy.high is None:
        add_text(ax, 0.01, position, "no images", ha="left", color=MUTED, transform=ax.get_yaxis_transform())
        return
    ax.plot(
        [accuracy.low, accuracy.high],
        [position, position],
        color=ACCENT,
        linewidth=1.8,
        solid_capstyle="round",
    )
    face = ACCENT if one.differs else "white"
    ax.plot(accuracy.value, position, "o", color=ACCENT, markerfacecolor=face, markersize=6)
    if one.factor != "emotion" and one.expected is not None:
        ax.plot(one.expected, position, "|", color=FOREGROUND, markersize=11, markeredgewidth=1.2)
    for x, text in ((1.12, f"{100 * accuracy.value:.1f} %"), (1.22, f"{accuracy.n:,}")):
        add_text(ax, x, position, text, ha="right", va="center_baseline", transform=ax.get_yaxis_transform())


def _label_factors(ax: Axes, factors: Sequence[str], positions: Sequence[float]) -> None:
    for i, (factor, position) in enumerate(zip(factors, positions, strict=True)):
        if i == 0 or factor != factors[i - 1]:
            box = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 1.5}
            style = {"ha": "left", "size": LABEL_SIZE, "weight": "bold", "bbox": box}
            add_text(ax, 0.0, position - 0.95, factor, transform=ax.get_yaxis_transform(), **style)
