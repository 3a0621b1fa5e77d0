"""Charts: emotion probabilities over time, accuracy against latency, and bars of one prediction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from fer.app.components.html import parts
from fer.core.labels import emotion_colors

# Pixels per emotion, and for the time axis.
_ROW_HEIGHT = 34
_TIME_AXIS_HEIGHT = 40
# Height of a probability of 1, as a fraction of the row.
_MAX_FILL = 0.86
# About this many labels on the time axis.
_TIME_TICKS = 8
# Streamlit's own grey has too little contrast.
_TEXT_COLORS = {"light": "#1b1f24", "dark": "#e8eaed"}
# Height of the chart of accuracy against latency, in pixels.
_SPEED_CHART_HEIGHT = 320
# The latency axis extends beyond the slowest version by this factor to leave room for its label.
_LATENCY_MARGIN = 1.4
_SPEED_AXIS = alt.Axis(tickCount=6)
# Both colours have enough contrast on light and dark backgrounds.
_GREY, _BLUE = "#7d8794", "#4683ff"


def show_emotion_chart(
    times: np.ndarray,
    probabilities: np.ndarray,
    emotions: Sequence[str],
    domain: tuple[float, float],
    title: str = "seconds",
) -> None:
    """Show an `emotion_chart` at full width, in the visitor's theme."""
    text_color = _TEXT_COLORS["dark" if st.context.theme.type == "dark" else "light"]
    chart = emotion_chart(times, probabilities, emotions, domain, title, text_color)
    st.altair_chart(chart, width="stretch")


def emotion_chart(
    times: np.ndarray,
    probabilities: np.ndarray,
    emotions: Sequence[str],
    domain: tuple[float, float],
    title: str = "seconds",
    text_color: str = _TEXT_COLORS["light"],
) -> alt.LayerChart:
    """Return a chart of the emotion probabilities over time.

    Each emotion has its own row, so that the chart can be read without telling colours apart.

    Args:
        times: Seconds, float ``(T,)``.
        probabilities: 0 to 1, float ``(T, K)``; NaN leaves a gap.
        emotions: The ``K`` names, from top to bottom.
        domain: First and last second of the time axis.
        title: Title of the time axis.
        text_color: Colour of text and outlines.
    """
    time_axis = alt.Axis(grid=False, tickCount=_TIME_TICKS, labelColor=text_color, titleColor=text_color)
    colors = alt.Scale(domain=list(emotions), range=[*emotion_colors(emotions).values()])
    base = alt.Chart(_chart_data(times, probabilities, emotions)).encode(
        x=alt.X("seconds:Q", title=title, scale=alt.Scale(domain=domain, nice=False), axis=time_axis),
        color=alt.Color("emotion:N", scale=colors, legend=None),
        detail="emotion:N",
    )
    areas = base.mark_area(opacity=0.8).encode(y=_row_position("base", emotions, text_color), y2="top:Q")
    lines = base.mark_line(strokeWidth=1, color=text_color).encode(
        y=_row_position("top", emotions, text_color), color=alt.value(text_color)
    )
    tooltip = [
        "emotion:N",
        alt.Tooltip("seconds:Q", format=".1f"),
        alt.Tooltip("probability:Q", format=".0%"),
    ]
    points = base.mark_circle(size=90, opacity=0).encode(
        y=_row_position("top", emotions, text_color), tooltip=tooltip
    )
    chart = alt.layer(areas, lines, points, height=_ROW_HEIGHT * len(emotions) + _TIME_AXIS_HEIGHT)
    return chart.configure_view(stroke=None)


def _chart_data(times: np.ndarray, probabilities: np.ndarray, emotions: Sequence[str]) -> pd.DataFrame:
    """Return a row per time and emotion; the first emotion is the top row of the chart."""
    bases = np.arange(len(emotions))[::-1] + np.zeros_like(probabilities)
    return pd.DataFrame(
        {
            "seconds": np.repeat(times, len(emotions)).round(2),
            "emotion": np.tile(list(emotions), len(times)),
            "probability": probabilities.ravel().round(4),
            "base": np.where(np.isnan(probabilities), np.nan, bases).ravel(),
            "top": (bases + _MAX_FILL * probabilities).ravel().round(4),
        }
    )


def _row_position(field: str, emotions: Sequence[str], text_color: str) -> alt.Y:
    """Return the vertical position of a field, on an axis that names the row of each emotion."""
    names = list(emotions)[::-1]
    axis = alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelBaseline="bottom",
        labelOverlap=False,
        labelColor=text_color,
        ticks=False,
        domain=False,
        grid=True,
    )
    scale = alt.Scale(domain=(0, len(names)), nice=False)
    return alt.Y(f"{field}:Q", title=None, scale=scale, axis=axis)


def speed_chart(points: Sequence[dict[str, Any]], measured: str) -> alt.LayerChart:
    """Return a chart of versions; better ones are towards the upper left.

    Args:
        points: ``version``, ``ms`` per face, ``accuracy``, ``low`` and ``high`` in percent.
        measured: Where the milliseconds were measured, for the axis title.
    """
    scale = alt.Scale(domain=(0, _LATENCY_MARGIN * max(point["ms"] for point in points)), nice=False)
    x = alt.X("ms:Q", title=f"milliseconds per face ({measured})", scale=scale, axis=_SPEED_AXIS)
    base = alt.Chart(alt.InlineData(values=list(points))).encode(x=x)
    tooltip = ["version:N", alt.Tooltip("accuracy:Q", format=".1f"), alt.Tooltip("ms:Q", format=".2f")]
    intervals = base.mark_rule(color=_GREY).encode(y=_accuracy_position("low"), y2="high:Q")
    dots = base.mark_point(filled=True, size=110, opacity=1, color=_BLUE)
    dots = dots.encode(y=_accuracy_position("accuracy"), tooltip=tooltip)
    names = base.mark_text(align="left", dx=10, fontSize=13, color=_GREY)
    names = names.encode(y=_accuracy_position("accuracy"), text="version:N")
    return alt.layer(intervals, dots, names, height=_SPEED_CHART_HEIGHT).configure_view(stroke=None)


def _accuracy_position(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title="accuracy in %", scale=alt.Scale(zero=False), axis=_SPEED_AXIS)


def show_bars(
    probabilities: Mapping[str, float], uncertain: bool = False, order: Sequence[str] | None = None
) -> None:
    """Show a bar for each emotion.

    Args:
        probabilities: By emotion, 0 to 1.
        uncertain: Mark the most probable emotion with a question mark.
        order: Emotions from top to bottom; None: the most probable first.
    """
    names = order or sorted(probabilities, key=lambda name: -probabilities[name])
    st.html(parts.bars([(name, probabilities[name]) for name in names], "?" if uncertain else ""))
