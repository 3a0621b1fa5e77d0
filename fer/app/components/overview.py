"""The overview of several images: a summary, filters, and thumbnails to choose from."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from fer.app.components.images import annotated_image, choose_by_thumbnail
from fer.app.image import ImageAnalysis
from fer.app.uploads import escape_markdown
from fer.core.text import counted
from fer.predict.images import Tally
from fer.predict.predictor import ImageResult

UNCERTAIN, NO_FACE = "uncertain", "no face"
# Side of a thumbnail in pixels.
_SIDE = 96
# Key of the chosen image in the session: its position among all images.
_CHOSEN = "chosen_image"


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
        st.button("Previous", on_click=partial(select_image, shown[position - 1]), disabled=len(shown) < 2)
        following = shown[(position + 1) % len(shown)]
        st.button("Next", on_click=partial(select_image, following), disabled=len(shown) < 2)
    return results[shown[position]]


def select_image(number: int) -> None:
    """Choose an image by its position among all images."""
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
    selected = st.pills("Show images with", groups, selection_mode="multi", key=f"shown_{'_'.join(groups)}")
    return [i for i, result in enumerate(results) if not selected or groups_of(result) & set(selected)]


def _title(number: int, result: ImageAnalysis) -> str:
    """Return e.g. ``2. sad?``, for several faces ``2. 5 faces``."""
    if len(result.predictions) != 1:
        return f"{number}. {counted(len(result.predictions), 'face') if result.predictions else NO_FACE}"
    (face,) = result.predictions
    return f"{number}. {escape_markdown(face.label)}{'?' if face.uncertain else ''}"


def _thumbnail(result: ImageAnalysis) -> np.ndarray:
    """Return the central square of the annotated image, uint8 RGB ``(96, 96, 3)``."""
    image = annotated_image(result)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    return cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
