"""Accuracy against speed: which model gives the most for its time."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from fer.analysis.style import ACCENT, GRID, INK, LABEL, MUTED, new_figure, style_axes, write

_ROW = 0.24  # inches from one name to the next


@dataclass(frozen=True)
class Point:
    """A model: its name, its score with interval as shown on the axis, and images a second."""

    name: str
    score: float
    low: float
    high: float
    speed: float


def plot_speed(
    points: Sequence[Point], axes: tuple[str, str], title: str, less_is_better: bool = False
) -> Figure:
    """Draw score against speed. Names stand in a column at the right, so that none covers another.

    The line joins the models that no other beats in both.

    Args:
        points: One or more; speeds are positive.
        axes: Names of the axes: speed, score.
        title: First line of the picture.
        less_is_better: Of the score; the axis is then turned over, so that better is always up.
    """
    height = max(4.4, 1.9 + _ROW * len(points))
    fig = new_figure(9, height, title, "up and to the right is better; bars are 95 % intervals")
    ax = fig.add_subplot()
    style_axes(ax, grid="both")
    sign = -1 if less_is_better else 1
    front = _front(points, sign)
    ax.plot(
        [p.speed for p in front], [p.score for p in front], color=ACCENT, linewidth=1.2, alpha=0.45, zorder=1
    )
    for point in points:
        color = ACCENT if point in front else MUTED
        ax.plot([point.speed] * 2, [point.low, point.high], color=color, linewidth=1.2)
        ax.plot(point.speed, point.score, "o", color=color, markersize=6)
    _scale(ax, points, axes, less_is_better)
    _write_names(ax, points, front, sign, (height - 1.5) / _ROW)
    return fig


def _front(points: Sequence[Point], sign: int) -> list[Point]:
    """Return the models that no other beats in both, fastest last."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (-p.speed, -sign * p.score)):
        if not kept or sign * point.score > sign * kept[-1].score:
            kept.append(point)
    return kept[::-1]


def _scale(ax: Axes, points: Sequence[Point], axes: tuple[str, str], less_is_better: bool) -> None:
    speeds = [point.speed for point in points]
    ax.set_xscale("log")
    ax.set_xlim(min(speeds) / 1.5, max(speeds) * 1.5)
    ticks = [n * 10**k for k in range(-2, 7) for n in (1, 2, 5)]
    ax.set_xticks([tick for tick in ticks if min(speeds) / 1.5 <= tick <= max(speeds) * 1.5])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(axes[0], size=LABEL, color=INK, labelpad=8)
    ax.set_ylabel(axes[1], size=LABEL, color=INK, labelpad=8)
    if less_is_better:
        ax.invert_yaxis()


def _write_names(ax: Axes, points: Sequence[Point], front: Sequence[Point], sign: int, rows: float) -> None:
    """Write the names in order of the score, as near to the height of their point as there is room."""
    order = sorted(points, key=lambda p: sign * p.score)
    heights = [ax.transLimits.transform((point.speed, point.score))[1] for point in order]
    for point, height in zip(order, _spread(heights, 1 / rows), strict=True):
        color = ACCENT if point in front else MUTED
        start, end = (point.speed, point.score), (1.02, height)
        line = {"arrowstyle": "-", "color": GRID, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
        ax.annotate("", start, end, textcoords="axes fraction", arrowprops=line, zorder=0)
        write(ax, 1.03, height, point.name, ha="left", color=color, weight="bold", transform=ax.transAxes)


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Push ascending heights apart to ``gap``, and keep them in [0, 1]."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    ceiling = 1.0
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
