"""An analysed image, the prediction on one of its faces, and the saliency map of that prediction."""

import streamlit as st

from fer.app.intake import escape_markdown
from fer.app.judging import ImageAnalysis
from fer.app.parts.bars import format_percent, show_bars
from fer.app.parts.images import annotated_image, choose_by_thumbnail
from fer.app.parts.why import show_explanation
from fer.app.serving import get_predictor
from fer.bundle.card import Card
from fer.prediction import TINY_FACE, Prediction

# Faces that can be selected; the table has all of them.
_MAX_FACE_TILES = 24


def show_image_result(analysis: ImageAnalysis) -> None:
    """Show the annotated image, and the prediction on the face that the visitor selects."""
    left, right = st.columns([11, 9], gap="large")
    with left:
        placeholder = st.empty()
        image = annotated_image(analysis, _landmarks_toggle(analysis))
        placeholder.image(image, width="stretch", output_format="JPEG", alt=_alt_text(analysis))
        st.caption(_image_caption(analysis))
    with right:
        if not analysis.predictions:
            st.info("No face was detected. Detection works best on large frontal faces.")
            return
        number = _select_face(analysis)
        _show_prediction(analysis.predictions[number])
    show_explanation(analysis, number)


def _landmarks_toggle(analysis: ImageAnalysis) -> bool:
    if all(prediction.face.points is None for prediction in analysis.predictions):
        return False
    return st.toggle("Show landmarks: eyes, nose and mouth corners", key="points")


def _image_caption(analysis: ImageAnalysis) -> str:
    count = f"{len(analysis.predictions)} faces" if len(analysis.predictions) != 1 else "1 face"
    width, height = analysis.size
    milliseconds = max(1, round(1000 * analysis.seconds))
    name = escape_markdown(analysis.name)
    return f"{name} · {width:,} × {height:,} pixels · {count} · {milliseconds} ms"


def _alt_text(analysis: ImageAnalysis) -> str:
    predictions = ", ".join(
        f"face {number} {prediction.label} {format_percent(prediction.confidence)}"
        for number, prediction in enumerate(analysis.predictions, 1)
    )
    return f"{analysis.name}: {predictions or 'no face detected'}"


def _select_face(analysis: ImageAnalysis) -> int:
    if len(analysis.predictions) == 1:
        return 0
    shown = analysis.predictions[:_MAX_FACE_TILES]
    titles = [_face_title(number, prediction) for number, prediction in enumerate(shown, 1)]
    crops = list(analysis.crops[:_MAX_FACE_TILES])
    chosen = choose_by_thumbnail("Select a face", crops, titles, "face", required=True)
    return chosen or 0


def _face_title(number: int, prediction: Prediction) -> str:
    return f"#{number} {escape_markdown(prediction.label)}{'?' if prediction.uncertain else ''}"


def _show_prediction(prediction: Prediction) -> None:
    confidence = format_percent(prediction.confidence)
    st.subheader(f"{escape_markdown(prediction.label.capitalize())}, {confidence}", anchor=False)
    card = get_predictor().card
    threshold = card.abstain_below
    if prediction.uncertain and threshold is not None:
        st.warning(
            f"Uncertain: the confidence is below {format_percent(threshold)}. Such predictions of this model "
            "are often wrong.",
            icon=":material/help:",
        )
    if prediction.tiny:
        st.warning(f"The face is smaller than {TINY_FACE} pixels: the prediction is unreliable.")
    show_bars(prediction.probabilities, prediction.uncertain)
    st.caption(_calibration_note(card, confidence))


def _calibration_note(card: Card, confidence: str) -> str:
    """Return what a probability of this model means."""
    if card.export.get("calibration") is None:
        return "This model's probabilities are not calibrated: they only rank the emotions."
    return (
        f"Calibrated: on images like the validation images, about {confidence} of the predictions made with "
        f"{confidence} are correct."
    )
