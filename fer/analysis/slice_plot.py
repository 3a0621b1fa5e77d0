"""Accuracy by slices as a picture: a dot and its interval for each, in groups."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib import figure
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from fer.analysis.figure import Figure
from fer.analysis.style import ACCENT, INK, LABEL, MUTED, PAPER, new_figure, style_axes, write

if TYPE_CHECKING:
    from fer.analysis.slices import Slice

_APART = 0.9  # rows between two factors, beyond one


def plot_slices(slices: Sequence["Slice"], overall: Figure) -> figure.Figure:
    """Draw the accuracy of each slice with its 95 % interval, beside the accuracy on all images.

    A slice that differs from the rest by more than chance is a full dot, another a hollow one. A tick marks
    what a slice's mix of emotions would give.

    Args:
        slices: Those of a factor side by side.
        overall: Accuracy on all images.
    """
    places = _places([one.factor for one in slices])
    height = 1.6 + 0.26 * (places[-1] + 1 if places else 1)
    legend = "full dots: differs beyond chance  ·  ticks: expected of the slice's emotions"
    fig = new_figure(7, height, "Accuracy by slice", legend)
    ax = fig.add_subplot()
    style_axes(ax, grid="x")
    if overall.value is not None:
        ax.axvline(overall.value, color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    for place, one in zip(places, slices, strict=True):
        _draw(ax, place, one)
    names = [one.name for one in slices]
    ax.set_yticks(places, names, color=INK, parse_math=False)
    _name_factors(ax, [one.factor for one in slices], places)
    ax.set_ylim((places[-1] if places else 0) + 0.6, -1.3)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return fig


def _places(factors: Sequence[str]) -> list[float]:
    """Return the height of each row; a new factor has its name above."""
    places: list[float] = []
    for i, factor in enumerate(factors):
        step = 0 if i == 0 else 1 if factor == factors[i - 1] else 1 + _APART + 0.3
        places.append((places[-1] if places else 0) + step)
    return places


def _draw(ax: Axes, place: float, one: "Slice") -> None:
    figure = one.accuracy
    if figure.value is None or figure.low is None or figure.high is None:
        write(ax, 0.01, place, "no images", ha="left", color=MUTED, transform=ax.get_yaxis_transform())
        return
    ax.plot([figure.low, figure.high], [place, place], color=ACCENT, linewidth=1.8, solid_capstyle="round")
    face = ACCENT if one.differs else "white"
    ax.plot(figure.value, place, "o", color=ACCENT, markerfacecolor=face, markersize=6)
    if one.factor != "emotion" and one.expected is not None:
        ax.plot(one.expected, place, "|", color=INK, markersize=11, markeredgewidth=1.2)
    for x, words in ((1.12, f"{100 * figure.value:.1f} %"), (1.22, f"{figure.n:,}")):
        write(ax, x, place, words, ha="right", va="center_baseline", transform=ax.get_yaxis_transform())


def _name_factors(ax: Axes, factors: Sequence[str], places: Sequence[float]) -> None:
    for i, (factor, place) in enumerate(zip(factors, places, strict=True)):
        if i == 0 or factor != factors[i - 1]:
            paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
            style = {"ha": "left", "size": LABEL, "weight": "bold", "bbox": paper}
            write(ax, 0.0, place - 0.95, factor, transform=ax.get_yaxis_transform(), **style)
