"""The overview of several images: a summary, filters, and thumbnails to choose from."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from fer.app.components.images import choose_by_thumbnail
from fer.app.image import ImageAnalysis
from fer.app.uploads import escape_markdown
from fer.core.text import counted
from fer.faces.base import Face, scale_face
from fer.predict.annotate import draw
from fer.predict.images import Tally
from fer.predict.predictor import ImageResult, Prediction

UNCERTAIN, NO_FACE = "uncertain", "no face"
# Side of a thumbnail in CSS pixels.
_SIDE = 96
# Width of the lines of boxes, likewise.
_LINE = 2.5
# Key of the chosen image in the session: its position among all images.
_CHOSEN = "chosen_image"
# Start of the key of the filter.
_FILTER = "shown_"


def choose_image(results: Sequence[ImageAnalysis]) -> ImageAnalysis:
    """Show the overview, and return the image that the visitor has chosen; a single one needs no choice."""
    if len(results) == 1:
        return results[0]
    st.markdown(f"**{escape_markdown(summary(results))}**")
    shown = _filter(results)
    chosen = st.session_state.get(_CHOSEN, 0)
    position = shown.index(chosen) if chosen in shown else 0
    # A new widget for each filter and choice by other means: its value is a position among those shown.
    key = f"image_{st.session_state.get('image_steps', 0)}_{'_'.join(map(str, shown))}"
    if key not in st.session_state:
        st.session_state[key] = position
    with st.container(key="image_tiles"):
        titles = [_title(number + 1, results[number]) for number in shown]
        thumbnails = [_thumbnail(results[number]) for number in shown]
        position = choose_by_thumbnail("Images", thumbnails, titles, key, required=True) or 0
    st.session_state[_CHOSEN] = shown[position]
    with st.container(horizontal=True):
        alone = len(shown) < 2
        st.button("Previous", on_click=partial(select_image, shown[position - 1]), disabled=alone)
        following = shown[(position + 1) % len(shown)]
        st.button("Next", on_click=partial(select_image, following), disabled=alone)
    return results[shown[position]]


def show_image(number: int) -> None:
    """Choose an image by its position among all images, also one that the filter hides."""
    select_image(number)
    for key in [key for key in st.session_state if str(key).startswith(_FILTER)]:
        st.session_state[key] = []


def select_image(number: int) -> None:
    """Choose an image that is shown by its position among all images."""
    st.session_state[_CHOSEN] = number
    st.session_state["image_steps"] = st.session_state.get("image_steps", 0) + 1


def summary(results: Sequence[ImageAnalysis]) -> str:
    """Return e.g. ``8 images, 20 faces: 7 sad, 5 neutral, 8 uncertain; without a face: 1``."""
    tally = Tally()
    for result in results:
        tally.add(Path(result.name), ImageResult(result.size, result.predictions))
    without = f"; without a face: {tally.without_face}" if tally.without_face and tally.faces else ""
    return f"{counted(len(results), 'image')}, {tally.describe_faces()}{without}"


def groups_of(result: ImageAnalysis) -> set[str]:
    """Return the groups of an image: the certain emotions of its faces, `UNCERTAIN`, or `NO_FACE`."""
    groups = {UNCERTAIN if face.uncertain else face.label for face in result.predictions}
    return groups or {NO_FACE}


def _filter(results: Sequence[ImageAnalysis]) -> list[int]:
    """Return the positions of the images with a face of the groups that the visitor selects; all of none."""
    groups = sorted({group for result in results for group in groups_of(result)})
    if len(groups) < 2:
        return [*range(len(results))]
    selected = st.pills("Show images with", groups, selection_mode="multi", key=_FILTER + "_".join(groups))
    return [i for i, result in enumerate(results) if not selected or groups_of(result) & set(selected)]


def _title(number: int, result: ImageAnalysis) -> str:
    """Return e.g. ``2. sad?``, for several faces ``2. 5 faces``."""
    if len(result.predictions) != 1:
        return f"{number}. {counted(len(result.predictions), 'face') if result.predictions else NO_FACE}"
    (face,) = result.predictions
    return f"{number}. {escape_markdown(face.label)}{'?' if face.uncertain else ''}"


def _thumbnail(result: ImageAnalysis) -> np.ndarray:
    """Return a square of the image, with its faces in the middle and boxes around them, ``(96, 96, 3)``."""
    height, width = result.display_image.shape[:2]
    side = min(height, width)
    left, top = (
        _start(axis, length, side, result.display_predictions) for axis, length in ((0, width), (1, height))
    )
    square = result.display_image[top : top + side, left : left + side]
    # Twice as large, for screens with more than one pixel per CSS pixel.
    size = min(side, 2 * _SIDE)
    small = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    faces = [
        replace(prediction, face=_moved(prediction.face, left, top, size / side))
        for prediction in result.display_predictions
    ]
    return draw(small, faces, points=False, labels=False, line=max(1, round(_LINE * size / _SIDE)))


def _start(axis: int, length: int, side: int, predictions: Sequence[Prediction]) -> int:
    """Return where a square starts along an axis: in its middle are the faces, or without any the image."""
    boxes = [prediction.face.box for prediction in predictions]
    first = min((box[axis] for box in boxes), default=0)
    last = max((box[axis] + box[axis + 2] for box in boxes), default=length)
    return int(np.clip((first + last - side) / 2, 0, length - side))


def _moved(face: Face, left: int, top: int, factor: float) -> Face:
    """Return a face in a part of the image that starts at ``left`` and ``top`` and is resized by a factor."""
    x, y, width, height = face.box
    return scale_face(replace(face, box=(x - left, y - top, width, height), points=None), np.full(2, factor))
