"""A strip for each face of a video: its emotions over time. A click moves the players to that time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from fer.app.components.images import data_url
from fer.app.video_overview import Segment
from fer.core.labels import emotion_colors, emotion_rgb, text_color_on

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "fer_strips",
    html='<div class="fer-strips"></div>',
    css=(_FOLDER / "strips.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "strips.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Strip:
    """The strip of a face.

    Attributes:
        name: E.g. ``Face 1``.
        summary: Text beside the name.
        thumbnail: uint8 RGB, square; None: none.
        segments: In order; gaps stay empty.
    """

    name: str
    summary: str
    thumbnail: np.ndarray | None
    segments: Sequence[Segment]


def show_strips(strips: Sequence[Strip], duration: float, emotions: Sequence[str], players: str) -> None:
    """Show the strips.

    Args:
        strips: From top to bottom.
        duration: Length of the video in seconds.
        emotions: All emotions of the model, for their colours.
        players: CSS selector of the video elements to move; the last one is scrolled into view.
    """
    faces = [
        {
            "name": strip.name,
            "summary": strip.summary,
            "thumbnail": None if strip.thumbnail is None else data_url(strip.thumbnail),
            "segments": [
                [round(part.start, 2), round(part.end, 2), part.emotion, part.uncertain]
                for part in strip.segments
            ],
        }
        for strip in strips
    ]
    data = {"faces": faces, "duration": duration, "colors": _colors(emotions), "players": players}
    _component(data=data, key="strips")


def _colors(emotions: Sequence[str]) -> Mapping[str, Any]:
    """Return the colour of each emotion and that of text on it, as CSS colours."""
    codes = emotion_colors(emotions)
    return {
        name: (code, "rgb({}, {}, {})".format(*text_color_on(emotion_rgb(name, emotions))))
        for name, code in codes.items()
    }
