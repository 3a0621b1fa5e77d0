"""The one look of every picture: colours, font sizes, the header, and text that never reads as TeX."""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

INK, MUTED, GRID, PAPER = "#1f2328", "#646c76", "#e6e8eb", "#ffffff"
ACCENT, NO_DATA = "#1f5fa8", "#f3f4f6"
TITLE, LABEL, SMALL = 13.0, 10.0, 8.5  # font sizes in points: the smallest is still read at half size
DPI = 200
HEADER = 0.75  # inches kept at the top for the title and the line below it


def new_figure(
    width: float, height: float, title: str, subtitle: str = "", constrained: bool = True
) -> Figure:
    """Return a white figure with its header written.

    Args:
        width: Inches.
        height: Inches, header included.
        title: First line, cut where it is longer than the figure is wide.
        subtitle: Second line, smaller.
        constrained: Let matplotlib lay the axes out below the header; False leaves that to the caller.
    """
    below = (0.1 / width, 0.1 / height, 1 - 0.2 / width, 1 - (HEADER + 0.1) / height)
    layout = ConstrainedLayoutEngine(rect=below, w_pad=0.08) if constrained else None
    fig = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=layout)
    FigureCanvasAgg(fig)
    left, room = 0.2 / width, width - 0.4
    header: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    first, second = (
        shorten(title, room, TITLE * 1.1),
        shorten(subtitle, room, LABEL),
    )  # bold runs a tenth wider
    fig.text(left, 1 - 0.17 / height, first, size=TITLE, weight="bold", color=INK, **header)
    fig.text(left, 1 - 0.43 / height, second, size=LABEL, color=MUTED, **header)
    return fig


def style_axes(ax: Axes, title: str = "", grid: Literal["both", "x", "y"] = "y") -> None:
    """Take the frame off ``ax``, draw a light grid along ``grid`` and write its title."""
    ax.set_facecolor(PAPER)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=6)
    ax.set_title(title, loc="left", size=LABEL, weight="bold", color=INK, pad=20)


def write(ax: Axes, x: float, y: float, words: str, **style: Any) -> Text:
    """Write ``words`` in small ink at (x, y); a ``$`` stays one. ``style`` goes to ``Axes.text``."""
    defaults: dict[str, Any] = {
        "size": SMALL,
        "color": INK,
        "ha": "center",
        "va": "center",
        "parse_math": False,
    }
    return ax.text(x, y, words, **(defaults | style))


def shorten(words: str, inches: float, points: float) -> str:
    """Cut ``words`` with an ellipsis where they are wider than ``inches`` at a font size of ``points``."""
    room = max(1, int(inches * 72 / (0.59 * points)))  # 0.59 em: a letter of DejaVu Sans on average
    return words if len(words) <= room else words[: room - 1].rstrip() + "…"
