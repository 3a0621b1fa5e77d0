"""Pictures inside pages: as addresses that hold their bytes, and as choices to click."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import streamlit as st

from fer.annotate import draw
from fer.app.judging import Judged


def to_jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    """Return an RGB picture, uint8 ``(H, W, 3)``, as a JPEG file."""
    _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return content.tobytes()


def data_address(picture: np.ndarray) -> str:
    """Return an address that holds an RGB picture, for ``src`` and ``url()``."""
    return "data:image/jpeg;base64," + base64.b64encode(to_jpeg(picture, 82)).decode()


def boxed(judged: Judged, points: bool = False) -> np.ndarray:
    """Return a picture with its faces boxed and, where there are several, numbered as in the table."""
    answers = judged.shown_predictions
    names = [f"#{number}" for number in range(1, len(answers) + 1)] if len(answers) > 1 else None
    return draw(judged.shown, answers, points=points, names=names)


def choose_by_picture(
    label: str, pictures: Sequence[np.ndarray], titles: Sequence[str], key: str, required: bool = False
) -> int | None:
    """Let a visitor choose one of several small pictures, by mouse or keys.

    Args:
        label: What is chosen, for screen readers.
        pictures: RGB, uint8 ``(H, W, 3)`` each.
        titles: Said of each.
        key: Name of the choice in the session; letters, digits and ``_``.
        required: One is always chosen, at first the first.

    Returns:
        The position of the chosen one; None where none is.
    """
    rules = [
        f".st-key-{key} button:nth-of-type({number}){{background-image:url({data_address(picture)})}}"
        for number, picture in enumerate(pictures, 1)
    ]
    st.html(f"<style>{''.join(rules)}</style>")
    with st.container(key=f"{key}_tiles"):
        return st.pills(
            label,
            range(len(titles)),
            format_func=lambda number: titles[number],
            default=0 if required else None,
            required=required,
            key=key,
            label_visibility="collapsed",
        )
