"""Plot of score against speed of the compared models, with the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from fer.analysis.style import ACCENT, FOREGROUND, GRID, LABEL_SIZE, MUTED, add_text, new_figure, style_axes

# Inches between model names
_ROW_HEIGHT = 0.24


@dataclass(frozen=True)
class SpeedPoint:
    """A model: name, score with interval in the unit of the axis, and speed in images per second."""

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
        title: Title of the figure.
        lower_is_better: Whether a lower score is better; the axis is then inverted, so that better is always
            up.
    """
    height = max(4.4, 1.9 + _ROW_HEIGHT * len(points))
    fig = new_figure(9, height, title, "up and to the right is better; bars are 95 % intervals")
    ax = fig.add_subplot()
    style_axes(ax, grid="both")
    sign = -1 if lower_is_better else 1
    front = _pareto_front(points, sign)
    ax.plot(
        [p.speed for p in front], [p.score for p in front], color=ACCENT, linewidth=1.2, alpha=0.45, zorder=1
    )
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
    ticks = [n * 10**k for k in range(-2, 7) for n in (1, 2, 5)]
    ax.set_xticks([tick for tick in ticks if min(speeds) / 1.5 <= tick <= max(speeds) * 1.5])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(axes[0], size=LABEL_SIZE, color=FOREGROUND, labelpad=8)
    ax.set_ylabel(axes[1], size=LABEL_SIZE, color=FOREGROUND, labelpad=8)
    if lower_is_better:
        ax.invert_yaxis()


def _write_names(
    ax: Axes, points: Sequence[SpeedPoint], front: Sequence[SpeedPoint], sign: int, rows: float
) -> None:
    """Write the names in order of the score, each as close to the height of its point as space allows."""
    order = sorted(points, key=lambda p: sign * p.score)
    heights = [ax.transLimits.transform((point.speed, point.score))[1] for point in order]
    for point, height in zip(order, _spread_labels(heights, 1 / rows), strict=True):
        color = ACCENT if point in front else MUTED
        start, end = (point.speed, point.score), (1.02, height)
        line = {"arrowstyle": "-", "color": GRID, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
        ax.annotate("", start, end, textcoords="axes fraction", arrowprops=line, zorder=0)
        add_text(ax, 1.03, height, point.name, ha="left", color=color, weight="bold", transform=ax.transAxes)


def _spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Move ascending heights apart until neighbours differ by ``gap``, at most up to 1."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    ceiling = 1.0
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
