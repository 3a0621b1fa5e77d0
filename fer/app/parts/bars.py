"""How probable each emotion is, as bars that also read as a table."""

from collections.abc import Mapping
from html import escape

import streamlit as st

from fer.emotion_colors import EMOTION_COLORS, OTHER


def show_bars(probabilities: Mapping[str, float], uncertain: bool = False) -> None:
    """Show a bar for each emotion, the most probable first.

    Args:
        probabilities: By emotion, 0 to 1.
        uncertain: The first is marked with a question mark rather than a tick.
    """
    st.html(bars_html(probabilities, uncertain))


def bars_html(probabilities: Mapping[str, float], uncertain: bool = False) -> str:
    """Return the bars as a table in HTML; see `show_bars`."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    sign = "?" if uncertain else "✓"
    rows = [_row(name, share, sign if not place else "") for place, (name, share) in enumerate(ranked)]
    caption = "<caption class='fer-unseen'>How probable each emotion is, in percent</caption>"
    return f"<table class='fer-bars'>{caption}<tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, share: float, sign: str) -> str:
    color = EMOTION_COLORS.get(name, OTHER)
    return (
        f"<tr{' class=fer-first' if sign else ''}><th scope='row'>{escape(name)}</th>"
        f"<td class='fer-track'><span style='width:{100 * share:.1f}%;background:{color}'></span></td>"
        f"<td class='fer-share'>{escape(percent(share))}</td><td class='fer-sign'>{sign}</td></tr>"
    )


def percent(share: float) -> str:
    """Return e.g. ``93 %``; never 0 or 100 where it is neither."""
    if 0 < share < 0.005:
        return "<1 %"
    return f"{min(99, round(100 * share)) if share < 1 else 100} %"
