"""Accuracy against speed as a chart: a named point a version, with the interval of its accuracy."""

from collections.abc import Sequence
from typing import Any

import altair as alt

_HEIGHT = 320  # pixels
_ROOM = 1.4  # of the axis of time beyond the slowest, so that its name fits in
_TICKS = alt.Axis(tickCount=6)
_GREY, _BLUE = "#7d8794", "#4683ff"  # seen on light and on dark


def speed_chart(points: Sequence[dict[str, Any]], where: str) -> alt.LayerChart:
    """Return a chart of versions; better ones stand at the upper left. It is as wide as its place.

    Args:
        points: ``version``, ``ms`` for a face, ``accuracy``, ``low`` and ``high`` in percent.
        where: Where the milliseconds were measured, for the axis.
    """
    time = alt.Scale(domain=(0, _ROOM * max(point["ms"] for point in points)), nice=False)
    x = alt.X("ms:Q", title=f"milliseconds a face ({where})", scale=time, axis=_TICKS)
    base = alt.Chart(alt.InlineData(values=list(points))).encode(x=x)
    hover = ["version:N", alt.Tooltip("accuracy:Q", format=".1f"), alt.Tooltip("ms:Q", format=".2f")]
    intervals = base.mark_rule(color=_GREY).encode(y=_height("low"), y2="high:Q")
    dots = base.mark_point(filled=True, size=110, opacity=1, color=_BLUE)
    dots = dots.encode(y=_height("accuracy"), tooltip=hover)
    names = base.mark_text(align="left", dx=10, fontSize=13, color=_GREY)
    names = names.encode(y=_height("accuracy"), text="version:N")
    return alt.layer(intervals, dots, names, height=_HEIGHT).configure_view(stroke=None)


def _height(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title="accuracy in %", scale=alt.Scale(zero=False), axis=_TICKS)
