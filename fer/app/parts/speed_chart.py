"""Scatter chart of accuracy against latency: a labelled point per version with its confidence interval."""

from collections.abc import Sequence
from typing import Any

import altair as alt

# In pixels.
_CHART_HEIGHT = 320
# The time axis extends beyond the slowest version to leave room for its label.
_TIME_MARGIN = 1.4
_SPEED_AXIS = alt.Axis(tickCount=6)
# Both have enough contrast on light and dark backgrounds.
_GREY, _BLUE = "#7d8794", "#4683ff"


def speed_chart(points: Sequence[dict[str, Any]], measured: str) -> alt.LayerChart:
    """Return a chart of versions; better ones are towards the upper left.

    Args:
        points: ``version``, ``ms`` per face, ``accuracy``, ``low`` and ``high`` in percent.
        measured: Where the milliseconds were measured, for the axis title.
    """
    scale = alt.Scale(domain=(0, _TIME_MARGIN * max(point["ms"] for point in points)), nice=False)
    x = alt.X("ms:Q", title=f"milliseconds per face ({measured})", scale=scale, axis=_SPEED_AXIS)
    base = alt.Chart(alt.InlineData(values=list(points))).encode(x=x)
    tooltip = ["version:N", alt.Tooltip("accuracy:Q", format=".1f"), alt.Tooltip("ms:Q", format=".2f")]
    intervals = base.mark_rule(color=_GREY).encode(y=_accuracy_position("low"), y2="high:Q")
    dots = base.mark_point(filled=True, size=110, opacity=1, color=_BLUE)
    dots = dots.encode(y=_accuracy_position("accuracy"), tooltip=tooltip)
    names = base.mark_text(align="left", dx=10, fontSize=13, color=_GREY)
    names = names.encode(y=_accuracy_position("accuracy"), text="version:N")
    return alt.layer(intervals, dots, names, height=_CHART_HEIGHT).configure_view(stroke=None)


def _accuracy_position(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title="accuracy in %", scale=alt.Scale(zero=False), axis=_SPEED_AXIS)
