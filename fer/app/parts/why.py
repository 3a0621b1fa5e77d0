"""Why this answer: heat over the face, how to read it, and how far to trust it."""

from html import escape

import cv2
import numpy as np
import streamlit as st

from fer.app.intake import escaped
from fer.app.judging import Judged
from fer.app.parts.bars import percent
from fer.app.parts.images import data_address
from fer.app.serving import predictor, turn
from fer.explaining.why import Why, why

_SIDE = 288  # pixels
_SHOWS = 0.8  # opacity of the greatest heat
_WORDS = {
    "occlusion": "Found by hiding one part of the face after the other (occlusion): the warmer a place, the "
    "more the answer falls when it is hidden.",
    "attention": "The model's own attention map: the warmer a place, the more the model weighs it. It is the "
    "same for every emotion.",
}
_NOWHERE = "No single part decides: hiding any one of them does not lower the answer."
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def show_why(judged: Judged, number: int) -> None:
    """Offer to explain the answer on a face, and do it where that is wished."""
    answer = judged.predictions[number]
    label = escaped(answer.label)
    if not st.toggle(f"Why {label}? Show the parts of the face that the answer rests on", key="why"):
        return
    serving = predictor()
    with turn():
        found = why(serving.classifier, judged.cuts[number], serving.card.labels.index(answer.label))
    left, right = st.columns([11, 9], gap="large", vertical_alignment="center")
    left.html(figure(judged.cuts[number], found, answer.label))
    with right:
        tell(found, label)


def tell(found: Why, label: str) -> None:
    """Say how to read the heat, and how far to trust it; ``label`` is Markdown."""
    if not found.heat.any():
        st.markdown(_NOWHERE)
        return
    st.markdown(_WORDS[found.method])
    before, after = (escaped(percent(share)) for share in (found.before, found.after))
    st.markdown(
        f"The greatest heat is in the **{place(found.heat)}** of the face. With the hottest tenth of the "
        f"face hidden, *{label}* goes from {before} to **{after}**."
    )
    st.caption("It tells what the model looks at, not whether it is right to do so.")


def figure(face: np.ndarray, found: Why, label: str) -> str:
    """Return the face as the model sees it, the heat over it, and the scale, in HTML."""
    large = cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    words = f"Heat over the face; greatest in the {place(found.heat)}" if found.heat.any() else _NOWHERE
    return (
        "<div class='fer-why'><figure>"
        f"<img src='{data_address(large)}' alt='The face as the model sees it'>"
        "<figcaption>what the model sees</figcaption></figure><figure>"
        f"<img src='{data_address(overlaid(face, found.heat))}' alt='{words}'>"
        f"<figcaption>what {escape(label)} rests on</figcaption></figure>"
        f"<div class='fer-scale'><span>little</span><i style='background:linear-gradient(90deg,{_ramp()})'>"
        "</i><span>most</span></div></div>"
    )


def overlaid(face: np.ndarray, heat: np.ndarray, side: int = _SIDE) -> np.ndarray:
    """Return a gray face with its heat in colour over it, uint8 ``(side, side, 3)``.

    Args:
        face: uint8 ``(S, S, 3)``.
        heat: 0 to 1, ``(S, S)``.
        side: In pixels.
    """
    gray = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    gray = cv2.resize(gray, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    warm = np.clip(cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)[..., None]
    return np.rint(gray * (1 - _SHOWS * warm) + _SHOWS * warm * _colors(warm[..., 0])).astype(np.uint8)


def place(heat: np.ndarray) -> str:
    """Return in words where the greatest heat is, e.g. ``"lower centre"``, left as the viewer sees it."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return f"{_ROWS[3 * row // len(heat)]} {_COLUMNS[3 * column // len(heat)]}"


def _colors(heat: np.ndarray) -> np.ndarray:
    """Return the colours of heat, which differ in lightness too: nobody needs to tell hues apart."""
    levels = np.rint(255 * heat).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)


def _ramp() -> str:
    """Return the scale as it looks over a middle gray."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)[None]
    mixed = 128 * (1 - _SHOWS * steps[..., None]) + _SHOWS * steps[..., None] * _colors(steps)
    return ",".join(f"rgb({red},{green},{blue})" for red, green, blue in mixed[0].round().astype(int))
