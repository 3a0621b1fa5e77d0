"""Emotion probabilities as horizontal bars, in a table that screen readers can read."""

from collections.abc import Mapping
from html import escape

import streamlit as st

from fer.emotion_colors import EMOTION_COLORS, OTHER_COLOR


def show_bars(probabilities: Mapping[str, float], uncertain: bool = False) -> None:
    """Show a bar for each emotion, the most probable first.

    Args:
        probabilities: By emotion, 0 to 1.
        uncertain: Mark the first emotion with a question mark instead of a check mark.
    """
    st.html(bars_html(probabilities, uncertain))


def bars_html(probabilities: Mapping[str, float], uncertain: bool = False) -> str:
    """Return the bars as an HTML table; see `show_bars`."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    mark = "?" if uncertain else "✓"
    rows = [
        _bar_row(name, probability, mark if rank == 0 else "")
        for rank, (name, probability) in enumerate(ranked)
    ]
    caption = "<caption class='fer-visually-hidden'>Probability of each emotion in percent</caption>"
    return f"<table class='fer-bars'>{caption}<tbody>{''.join(rows)}</tbody></table>"


def _bar_row(name: str, probability: float, mark: str) -> str:
    color = EMOTION_COLORS.get(name, OTHER_COLOR)
    width = f"width:{100 * probability:.1f}%"
    return (
        f"<tr{' class=fer-first' if mark else ''}><th scope='row'>{escape(name)}</th>"
        f"<td class='fer-track'><span style='{width};background:{color}'></span></td>"
        f"<td class='fer-percent'>{escape(format_percent(probability))}</td>"
        f"<td class='fer-mark'>{mark}</td></tr>"
    )


def format_percent(fraction: float) -> str:
    """Return e.g. ``93 %``. Rounding never gives 0 or 100 % unless the value is exactly 0 or 1."""
    if 0 < fraction < 0.005:
        return "<1 %"
    return f"{min(99, round(100 * fraction)) if fraction < 1 else 100} %"
