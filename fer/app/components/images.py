"""Images on pages: JPEG and data URLs, annotated images, selection by thumbnail."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import streamlit as st

from fer.app.image import ImageAnalysis
from fer.data.synthetic.samples import SAMPLES, render_thumbnail
from fer.predict.annotate import draw


def to_jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    """Return an RGB image, uint8 ``(H, W, 3)``, as a JPEG file."""
    _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return content.tobytes()


def data_url(image: np.ndarray) -> str:
    """Return a data URL of an RGB image, for ``src`` and ``url()``."""
    return "data:image/jpeg;base64," + base64.b64encode(to_jpeg(image, 82)).decode()


def annotated_image(analysis: ImageAnalysis, points: bool = False) -> np.ndarray:
    """Return the image with boxes around its faces; several faces are numbered as in the table."""
    predictions = analysis.display_predictions
    names = [f"#{number}" for number in range(1, len(predictions) + 1)] if len(predictions) > 1 else None
    return draw(analysis.display_image, predictions, points=points, names=names)


def choose_sample(key: str, required: bool = False) -> int | None:
    """Let the visitor choose one of `SAMPLES`, as `choose_by_thumbnail` does."""
    titles = [sample.title for sample in SAMPLES]
    return choose_by_thumbnail("Synthetic faces", [*map(render_thumbnail, SAMPLES)], titles, key, required)


def choose_by_thumbnail(
    label: str, thumbnails: Sequence[np.ndarray], titles: Sequence[str], key: str, required: bool = False
) -> int | None:
    """Let the visitor choose one of several thumbnails by mouse or keyboard.

    Args:
        label: Label of the choice for screen readers.
        thumbnails: RGB, uint8 ``(H, W, 3)`` each.
        titles: Text below each thumbnail.
        key: Key of the widget in the session; letters, digits and ``_``.
        required: One is always selected, by default the first.

    Returns:
        The index of the selected thumbnail; None if none is selected.
    """
    rules = [
        f".st-key-{key} button:nth-of-type({number}){{background-image:url({data_url(image)})}}"
        for number, image in enumerate(thumbnails, 1)
    ]
    st.html(f"<style>{''.join(rules)}</style>")
    with st.container(key=f"{key}_tiles"):
        return st.pills(
            label,
            range(len(titles)),
            format_func=lambda index: titles[index],
            default=0 if required else None,
            required=required,
            key=key,
            label_visibility="collapsed",
        )
