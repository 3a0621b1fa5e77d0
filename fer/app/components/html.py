"""HTML for which Streamlit has no element: tables, score bars, saliency maps. Accessible, and escaped.

``parts`` has the macros of `parts.html.j2`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fer.app.card_text import format_estimate
from fer.core.labels import emotion_colors


def format_percent(fraction: float) -> str:
    """Return e.g. ``93 %``. Rounding never gives 0 or 100 % unless the value is exactly 0 or 1."""
    if 0 < fraction < 0.005:
        return "<1 %"
    return f"{min(99, round(100 * fraction)) if fraction < 1 else 100} %"


def _pair_colors(probabilities: Sequence[tuple[str, float]]) -> dict[str, str]:
    """Return the colour of each emotion, ``#rrggbb``, of pairs of all emotions and their probabilities."""
    return emotion_colors(name for name, _ in probabilities)


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"estimate": format_estimate, "percent": format_percent, "colors": _pair_colors}
parts: Any = _environment.get_template("parts.html.j2").module
