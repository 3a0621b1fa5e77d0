"""Common style of all figures (colours, fonts, header, text without TeX parsing), and PNG output."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from fer.core.errors import FerError
from fer.core.paths import atomic_write

# Colours: text, secondary text, grid, background, accent, cells without data
FOREGROUND, MUTED, GRID, BACKGROUND = "#1f2328", "#646c76", "#e6e8eb", "#ffffff"
ACCENT, NO_DATA = "#1f5fa8", "#f3f4f6"
# Font sizes in points; the smallest is still readable at half size
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 13.0, 10.0, 8.5
DPI = 200
# Inches at the top for title and subtitle
HEADER_HEIGHT = 0.75


def new_figure(
    width: float, height: float, title: str, subtitle: str = "", constrained: bool = True
) -> Figure:
    """Return a figure with background and header.

    Args:
        width: Inches.
        height: Inches, header included.
        title: First line, truncated to the width of the figure.
        subtitle: Second line, smaller.
        constrained: Use the constrained layout below the header; False leaves the layout to the caller.
    """
    rect = (0.1 / width, 0.1 / height, 1 - 0.2 / width, 1 - (HEADER_HEIGHT + 0.1) / height)
    layout = ConstrainedLayoutEngine(rect=rect, w_pad=0.08) if constrained else None
    fig = Figure(figsize=(width, height), dpi=DPI, facecolor=BACKGROUND, layout=layout)
    FigureCanvasAgg(fig)
    left, available = 0.2 / width, width - 0.4
    header: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    # Bold text is about 10 % wider
    first, second = shorten(title, available, TITLE_SIZE * 1.1), shorten(subtitle, available, LABEL_SIZE)
    fig.text(left, 1 - 0.17 / height, first, size=TITLE_SIZE, weight="bold", color=FOREGROUND, **header)
    fig.text(left, 1 - 0.43 / height, second, size=LABEL_SIZE, color=MUTED, **header)
    return fig


def style_axes(ax: Axes, title: str = "", grid: Literal["both", "x", "y"] = "y") -> None:
    """Style ``ax``: no frame, a light grid along ``grid``, and a title."""
    ax.set_facecolor(BACKGROUND)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=MUTED, pad=6)
    ax.set_title(title, loc="left", size=LABEL_SIZE, weight="bold", color=FOREGROUND, pad=20)


def label_axes(ax: Axes, x: str = "", y: str = "", labelpad: float = 4.0) -> None:
    """Write the labels of both axes."""
    ax.set_xlabel(x, size=LABEL_SIZE, color=FOREGROUND, labelpad=labelpad)
    ax.set_ylabel(y, size=LABEL_SIZE, color=FOREGROUND, labelpad=labelpad)


def format_as_percent(*axes: Axis) -> None:
    """Write the ticks as ``50 %``."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def add_text(ax: Axes, x: float, y: float, text: str, **style: Any) -> Text:
    """Add small text at (x, y), without TeX parsing of ``$``; ``style`` is passed to ``Axes.text``."""
    defaults: dict[str, Any] = {"size": SMALL_SIZE, "color": FOREGROUND, "ha": "center", "va": "center"}
    return ax.text(x, y, text, **(defaults | {"parse_math": False} | style))


def spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until neighbours differ by at least ``gap``; none is moved above 1."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed, floor, ceiling = list(heights), -math.inf, 1.0
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def shorten(text: str, inches: float, points: float) -> str:
    """Truncate ``text`` with an ellipsis to a width of ``inches`` at a font size of ``points``."""
    # A letter of DejaVu Sans is 0.59 em wide on average
    max_chars = max(1, int(inches * 72 / (0.59 * points)))
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"


def png_bytes(fig: Figure) -> bytes:
    """Return ``fig`` as a PNG file."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=fig.dpi, facecolor=fig.get_facecolor())
    return buffer.getvalue()


def save_figure(fig: Figure, path: Path) -> None:
    """Write ``fig`` to ``path`` atomically as PNG; create the folder.

    Raises:
        FerError: The file cannot be written.
    """
    content = png_bytes(fig)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise FerError(f"{path}: cannot be written ({error}). Choose another folder.") from error
