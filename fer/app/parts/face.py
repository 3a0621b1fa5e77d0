"""A judged picture and what is known of one of its faces."""

import streamlit as st

from fer.app.intake import escaped
from fer.app.judging import Judged
from fer.app.parts.bars import percent, show_bars
from fer.app.parts.images import boxed, choose_by_picture
from fer.app.parts.why import show_why
from fer.app.serving import predictor
from fer.bundle.card import Card
from fer.prediction import TINY, Prediction

_FEW = 24  # faces that can be chosen; further ones are in the table


def show_picture(judged: Judged) -> None:
    """Show a picture with its faces boxed, and the answers on the one that the visitor chooses."""
    left, right = st.columns([11, 9], gap="large")
    with left:
        room = st.empty()
        points = _offer_points(judged)
        room.image(boxed(judged, points), width="stretch", output_format="JPEG", alt=_in_words(judged))
        st.caption(_about(judged))
    with right:
        if not judged.predictions:
            st.info(
                "No face was found. A face that looks into the camera and is not too small is found best."
            )
            return
        number = _choose_face(judged)
        _show_answer(judged.predictions[number])
    show_why(judged, number)


def _offer_points(judged: Judged) -> bool:
    if all(answer.face.points is None for answer in judged.predictions):
        return False
    return st.toggle("Show eyes, nose and mouth as they were found", key="points")


def _about(judged: Judged) -> str:
    faces = f"{len(judged.predictions)} faces" if len(judged.predictions) != 1 else "1 face"
    width, height = judged.size
    milliseconds = max(1, round(1000 * judged.seconds))
    return f"{escaped(judged.name)} · {width:,} × {height:,} pixels · {faces} · {milliseconds} ms"


def _in_words(judged: Judged) -> str:
    answers = ", ".join(
        f"face {number} {answer.label} {percent(answer.confidence)}"
        for number, answer in enumerate(judged.predictions, 1)
    )
    return f"{judged.name}: {answers or 'no face found'}"


def _choose_face(judged: Judged) -> int:
    if len(judged.predictions) == 1:
        return 0
    titles = [_title(number, answer) for number, answer in enumerate(judged.predictions[:_FEW], 1)]
    chosen = choose_by_picture("Which face", list(judged.cuts[:_FEW]), titles, "face", required=True)
    return chosen or 0


def _title(number: int, answer: Prediction) -> str:
    return f"#{number} {escaped(answer.label)}{'?' if answer.uncertain else ''}"


def _show_answer(answer: Prediction) -> None:
    st.subheader(f"{escaped(answer.label.capitalize())}, {percent(answer.confidence)}", anchor=False)
    card = predictor().card
    least = card.abstain_below
    if answer.uncertain and least is not None:
        st.warning(
            f"Uncertain: below {percent(least)} this model is wrong too often to be relied on.",
            icon=":material/help:",
        )
    if answer.tiny:
        st.warning(f"The face has fewer than {TINY} pixels a side: the answer is worth little.")
    show_bars(answer.probabilities, answer.uncertain)
    st.caption(_worth(card, percent(answer.confidence)))


def _worth(card: Card, share: str) -> str:
    """Return what a percentage of this model means."""
    if card.export.get("calibration") is None:
        return "This model's percentages are not calibrated: they rank emotions, no more."
    return (
        f"Calibrated: on pictures like those it was validated on, about {share} of the answers given with "
        f"{share} are right."
    )
