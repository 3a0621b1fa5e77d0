"""Comparison plots: score against speed of several models, and accuracy by slice of one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.slices import Slice
from fer.analysis.plots.style import (
    ACCENT,
    BACKGROUND,
    FOREGROUND,
    GRID,
    LABEL_SIZE,
    MUTED,
    add_text,
    format_as_percent,
    label_axes,
    new_figure,
    spread_labels,
    style_axes,
)
from fer.core.text import percent

# Inches between model names
_ROW_HEIGHT = 0.24
# Inches between slices
_SLICE_HEIGHT = 0.26
# Additional rows between the slices of two factors, for the name of the second
_FACTOR_GAP = 1.2


@dataclass(frozen=True)
class SpeedPoint:
    """A model: name, score with its 95 % interval in the unit of the axis, and speed in images per second."""

    name: str
    score: float
    low: float
    high: float
    speed: float


def plot_speed(
    points: Sequence[SpeedPoint], axes: tuple[str, str], title: str, lower_is_better: bool = False
) -> Figure:
    """Plot score against speed, with model names in a column at the right, so that they do not overlap.

    The line is the Pareto front: models that no other model beats in both score and speed.

    Args:
        points: One or more; speeds are positive.
        axes: Labels of the axes: speed, score.
        lower_is_better: Whether a lower score is better; the axis is then inverted, so that better is always
            up.
    """
    height = max(4.4, 1.9 + _ROW_HEIGHT * len(points))
    fig = new_figure(9, height, title, "up and to the right is better; bars are 95 % intervals")
    ax = fig.add_subplot()
    style_axes(ax, grid="both")
    sign = -1 if lower_is_better else 1
    front = _pareto_front(points, sign)
    line: dict[str, Any] = {"color": ACCENT, "linewidth": 1.2, "alpha": 0.45, "zorder": 1}
    ax.plot([point.speed for point in front], [point.score for point in front], **line)
    for point in points:
        color = ACCENT if point in front else MUTED
        ax.plot([point.speed] * 2, [point.low, point.high], color=color, linewidth=1.2)
        ax.plot(point.speed, point.score, "o", color=color, markersize=6)
    _set_scales(ax, points, axes, lower_is_better)
    _write_names(ax, points, front, sign, (height - 1.5) / _ROW_HEIGHT)
    return fig


def _pareto_front(points: Sequence[SpeedPoint], sign: int) -> list[SpeedPoint]:
    """Return the Pareto front: models that no other model beats in both, fastest last."""
    front: list[SpeedPoint] = []
    for point in sorted(points, key=lambda p: (-p.speed, -sign * p.score)):
        if not front or sign * point.score > sign * front[-1].score:
            front.append(point)
    return front[::-1]


def _set_scales(ax: Axes, points: Sequence[SpeedPoint], axes: tuple[str, str], lower_is_better: bool) -> None:
    speeds = [point.speed for point in points]
    ax.set_xscale("log")
    ax.set_xlim(min(speeds) / 1.5, max(speeds) * 1.5)
    ax.set_xticks(_speed_ticks(min(speeds) / 1.5, max(speeds) * 1.5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    label_axes(ax, *axes, labelpad=8)
    if lower_is_better:
        ax.invert_yaxis()


def _speed_ticks(low: float, high: float) -> list[float]:
    """Return three ticks or more of a logarithmic axis, with one or two significant digits."""
    for numbers in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [n * 10.0**k for k in range(-3, 7) for n in numbers if low <= n * 10.0**k <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _write_names(
    ax: Axes, points: Sequence[SpeedPoint], front: Sequence[SpeedPoint], sign: int, rows: float
) -> None:
    """Write the names in order of the score, each as close to the height of its point as space allows."""
    order = sorted(points, key=lambda p: sign * p.score)
    heights = [ax.transLimits.transform((point.speed, point.score))[1] for point in order]
    for point, height in zip(order, spread_labels(heights, 1 / rows), strict=True):
        color = ACCENT if point in front else MUTED
        start, end = (point.speed, point.score), (1.02, height)
        line = {"arrowstyle": "-", "color": GRID, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
        ax.annotate("", start, end, textcoords="axes fraction", arrowprops=line, zorder=0)
        add_text(ax, 1.03, height, point.name, ha="left", color=color, weight="bold", transform=ax.transAxes)


def plot_slices(slices: Sequence[Slice], overall: Estimate) -> Figure:
    """Plot the accuracy of each slice with its 95 % interval, and the accuracy on all images as a line.

    Filled dots are slices that differ significantly from the other images. A tick marks the accuracy expected
    from the emotions of the slice.

    Args:
        slices: Grouped by factor.
        overall: Accuracy on all images.
    """
    positions = _row_positions([one.factor for one in slices])
    height = 1.6 + _SLICE_HEIGHT * (positions[-1] + 1 if positions else 1)
    legend = "filled dots: significant difference  ·  ticks: expected from the emotions of the slice"
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
    format_as_percent(ax.xaxis)
    return fig


def _row_positions(factors: Sequence[str]) -> list[float]:
    """Return the vertical position of each row, with space above the first row of a factor for its name."""
    positions: list[float] = []
    for i, factor in enumerate(factors):
        step = 0 if i == 0 else 1 if factor == factors[i - 1] else 1 + _FACTOR_GAP
        positions.append((positions[-1] if positions else 0) + step)
    return positions


def _draw_slice(ax: Axes, position: float, one: Slice) -> None:
    accuracy = one.accuracy
    if accuracy.value is None or accuracy.low is None or accuracy.high is None:
        add_text(ax, 0.01, position, "no images", ha="left", color=MUTED, transform=ax.get_yaxis_transform())
        return
    style: dict[str, Any] = {"color": ACCENT, "linewidth": 1.8, "solid_capstyle": "round"}
    ax.plot([accuracy.low, accuracy.high], [position, position], **style)
    face = ACCENT if one.differs else "white"
    ax.plot(accuracy.value, position, "o", color=ACCENT, markerfacecolor=face, markersize=6)
    if one.factor != "emotion" and one.expected is not None:
        ax.plot(one.expected, position, "|", color=FOREGROUND, markersize=11, markeredgewidth=1.2)
    for x, text in ((1.12, percent(accuracy.value)), (1.22, f"{accuracy.n:,}")):
        add_text(ax, x, position, text, ha="right", va="center_baseline", transform=ax.get_yaxis_transform())


def _label_factors(ax: Axes, factors: Sequence[str], positions: Sequence[float]) -> None:
    for i, (factor, position) in enumerate(zip(factors, positions, strict=True)):
        if i == 0 or factor != factors[i - 1]:
            box = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 1.5}
            style = {"ha": "left", "size": LABEL_SIZE, "weight": "bold", "bbox": box}
            add_text(ax, 0.0, position - 0.95, factor, transform=ax.get_yaxis_transform(), **style)
