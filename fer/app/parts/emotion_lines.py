"""Emotions over time as a chart: a row an emotion, so that nothing depends on telling colours apart."""

import json
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from fer.emotion_colors import EMOTION_COLORS, OTHER

_ROW = 34  # pixels an emotion
_FULL = 0.86  # of a row that a probability of 1 fills
_FRAME = 40  # pixels of the axis of time
_TICKS = 8
_INK = {"light": "#1b1f24", "dark": "#e8eaed"}  # Streamlit's own grey is too pale to read


def show_emotion_lines(
    times: np.ndarray,
    probs: np.ndarray,
    emotions: Sequence[str],
    ends: tuple[float, float],
    title: str = "seconds",
) -> None:
    """Show the chart of `emotion_lines`, as wide as its place and in the visitor's theme."""
    ink = _INK["dark" if st.context.theme.type == "dark" else "light"]
    st.altair_chart(emotion_lines(times, probs, emotions, ends, title, ink), width="stretch")


def emotion_lines(
    times: np.ndarray,
    probs: np.ndarray,
    emotions: Sequence[str],
    ends: tuple[float, float],
    title: str = "seconds",
    ink: str = _INK["light"],
) -> alt.LayerChart:
    """Return a chart of the probability of each emotion.

    Args:
        times: Seconds, float ``(T,)``.
        probs: 0 to 1, float ``(T, K)``; NaN leaves a gap.
        emotions: ``K`` names, from top to bottom.
        ends: First and last second of the axis.
        title: Of the axis of time.
        ink: Colour of words and outlines.
    """
    base = alt.Chart(_rows(times, probs, emotions)).encode(
        x=alt.X("seconds:Q", title=title, scale=alt.Scale(domain=ends, nice=False), axis=_seconds(ink)),
        color=alt.Color("emotion:N", scale=_colors(emotions), legend=None),
        detail="emotion:N",
    )
    areas = base.mark_area(opacity=0.8).encode(y=_height("base", emotions, ink), y2="top:Q")
    lines = base.mark_line(strokeWidth=1, color=ink).encode(
        y=_height("top", emotions, ink), color=alt.value(ink)
    )
    shown = ["emotion:N", alt.Tooltip("seconds:Q", format=".1f"), alt.Tooltip("probability:Q", format=".0%")]
    points = base.mark_circle(size=90, opacity=0).encode(y=_height("top", emotions, ink), tooltip=shown)
    chart = alt.layer(areas, lines, points, height=_ROW * len(emotions) + _FRAME)
    return chart.configure_view(stroke=None)


def _rows(times: np.ndarray, probs: np.ndarray, emotions: Sequence[str]) -> pd.DataFrame:
    """Return a row a time and emotion; the first emotion is the highest row of the chart."""
    bases = np.arange(len(emotions))[::-1] + np.zeros_like(probs)
    return pd.DataFrame(
        {
            "seconds": np.repeat(times, len(emotions)).round(2),
            "emotion": np.tile(list(emotions), len(times)),
            "probability": probs.ravel().round(4),
            "base": np.where(np.isnan(probs), np.nan, bases).ravel(),
            "top": (bases + _FULL * probs).ravel().round(4),
        }
    )


def _seconds(ink: str) -> alt.Axis:
    return alt.Axis(grid=False, tickCount=_TICKS, labelColor=ink, titleColor=ink)


def _height(field: str, emotions: Sequence[str], ink: str) -> alt.Y:
    """Return a place in the rows, with an axis that names each where it begins."""
    names = list(emotions)[::-1]
    axis = alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelBaseline="bottom",
        labelOverlap=False,
        labelColor=ink,
        ticks=False,
        domain=False,
        grid=True,
    )
    scale = alt.Scale(domain=(0, len(names)), nice=False)
    return alt.Y(f"{field}:Q", title=None, scale=scale, axis=axis)


def _colors(emotions: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(emotions), range=[EMOTION_COLORS.get(name, OTHER) for name in emotions])
