"""An analysed image, the prediction on one of its faces, and the saliency map of that prediction."""

import cv2
import numpy as np
import streamlit as st

from fer.app.components.charts import show_bars
from fer.app.components.html import format_percent, parts
from fer.app.components.images import annotated_image, choose_by_thumbnail, data_url
from fer.app.components.model_options import ModelOptions
from fer.app.image import ImageAnalysis
from fer.app.resources import compute_slot
from fer.app.uploads import escape_markdown
from fer.bundle.card import Card
from fer.core.text import counted
from fer.predict.explain import Explanation, explain
from fer.predict.predictor import TINY_FACE, Prediction, Predictor

# At most this many faces can be selected; the table has all of them.
_MAX_FACE_TILES = 24
# Side of the displayed saliency map, in pixels.
_MAP_SIDE = 288
# Opacity of the highest saliency.
_MAX_OPACITY = 0.8
_METHODS = {
    "occlusion": "Occlusion map: each part of the face is covered in turn. The brighter a region, the more "
    "the probability drops when it is covered.",
    "attention": "Attention map of the model: the brighter a region, the higher its weight. It is the same "
    "for every emotion.",
}
_NO_SALIENCY = "No single region matters: covering any one of them does not lower the probability."
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def show_image_result(analysis: ImageAnalysis, options: ModelOptions) -> None:
    """Show the annotated image, and the prediction on the face that the visitor selects.

    Args:
        analysis: The image, with the threshold of the options.
        options: Model and threshold.
    """
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
        _show_prediction(analysis.predictions[number], options)
    show_explanation(analysis, number, options.predictor())


def _landmarks_toggle(analysis: ImageAnalysis) -> bool:
    if all(prediction.face.points is None for prediction in analysis.predictions):
        return False
    return st.toggle("Landmarks", key="points", help="Draw eyes, nose and mouth corners")


def _image_caption(analysis: ImageAnalysis) -> str:
    count = counted(len(analysis.predictions), "face")
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


def _show_prediction(prediction: Prediction, options: ModelOptions) -> None:
    confidence = format_percent(prediction.confidence)
    st.header(escape_markdown(_headline(prediction)), anchor=False)
    if prediction.uncertain:
        st.warning(_uncertainty_note(options), icon=":material/help:")
    if prediction.tiny:
        st.warning(f"The face is smaller than {TINY_FACE} pixels: the prediction is unreliable.")
    show_bars(prediction.probabilities, prediction.uncertain)
    st.caption(_calibration_note(options.version.card, confidence))


def _uncertainty_note(options: ModelOptions) -> str:
    """Return why a prediction is uncertain."""
    card, own = options.version.card, options.own_threshold
    if own is not None:
        return f"Uncertain: the confidence is below your threshold of {format_percent(own)}."
    below = f"the confidence is below {format_percent(card.abstain_below)}" if card.abstain_below else ""
    reason = below or "no confidence of this model reached the target accuracy"
    return f"Uncertain: {reason}. Such predictions of this model are often wrong."


def _headline(prediction: Prediction) -> str:
    """Return e.g. ``Happy, 93 %``, or ``Uncertain: fear 46 %, or neutral 22 %``."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    if not prediction.uncertain or len(ranked) < 2:
        return f"{prediction.label.capitalize()}, {format_percent(prediction.confidence)}"
    (first, likely), (second, less) = ranked[:2]
    return f"Uncertain: {first} {format_percent(likely)}, or {second} {format_percent(less)}"


def _calibration_note(card: Card, confidence: str) -> str:
    """Return what a probability of this model means."""
    if card.export.get("calibration") is None:
        return "This model's probabilities are not calibrated: they only rank the emotions."
    return (
        f"Calibrated: on images like the validation images, about {confidence} of the predictions made with "
        f"{confidence} are correct."
    )


def show_explanation(analysis: ImageAnalysis, number: int, predictor: Predictor) -> None:
    """Show a toggle and, if it is on, the saliency map of the prediction on a face by this predictor."""
    prediction = analysis.predictions[number]
    label = escape_markdown(prediction.label)
    if not st.toggle(f"Explain {label}: show the saliency map of this prediction", key="explain"):
        return
    crop = analysis.crops[number]
    with compute_slot():
        explanation = explain(predictor.classifier, crop, predictor.card.labels.index(prediction.label))
    left, right = st.columns([11, 9], gap="large", vertical_alignment="center")
    left.html(saliency_html(crop, explanation, prediction.label))
    with right:
        show_saliency_text(explanation, label)


def show_saliency_text(explanation: Explanation, label: str) -> None:
    """Show how to read the saliency map, and how the probability drops when its peak is covered.

    Args:
        explanation: The saliency map.
        label: The predicted emotion, as Markdown.
    """
    if not explanation.saliency.any():
        st.markdown(_NO_SALIENCY)
        return
    st.markdown(_METHODS[explanation.method])
    before, after = (
        escape_markdown(format_percent(confidence))
        for confidence in (explanation.confidence, explanation.confidence_hidden)
    )
    st.markdown(
        f"The saliency is highest in the **{describe_peak(explanation.saliency)}** of the face. With the "
        f"most salient 10 % of the face covered, the probability of *{label}* changes from {before} to "
        f"**{after}**."
    )
    st.caption("The map shows what the model uses, not whether the prediction is correct.")


def saliency_html(face: np.ndarray, explanation: Explanation, label: str) -> str:
    """Return the model's input, the saliency map over it, and the colour scale, as HTML.

    Args:
        face: uint8 RGB ``(S, S, 3)``.
        explanation: The saliency map.
        label: The predicted emotion, not escaped.
    """
    enlarged = cv2.resize(face, (_MAP_SIDE, _MAP_SIDE), interpolation=cv2.INTER_CUBIC)
    alt = _NO_SALIENCY
    if explanation.saliency.any():
        alt = f"Saliency map over the face; highest in the {describe_peak(explanation.saliency)}"
    overlay = overlay_saliency(face, explanation.saliency)
    return parts.saliency(data_url(enlarged), data_url(overlay), alt, label, _scale_colors())


def overlay_saliency(face: np.ndarray, saliency: np.ndarray, side: int = _MAP_SIDE) -> np.ndarray:
    """Return the face in grey with the saliency map over it in colour, uint8 RGB ``(side, side, 3)``.

    Args:
        face: uint8 RGB ``(S, S, 3)``.
        saliency: 0 to 1, ``(S, S)``.
        side: In pixels.
    """
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    resized = np.clip(cv2.resize(saliency, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)[..., None]
    opacity = _MAX_OPACITY * resized
    return np.rint(grey * (1 - opacity) + opacity * _saliency_colors(resized[..., 0])).astype(np.uint8)


def describe_peak(saliency: np.ndarray) -> str:
    """Return the region of the highest saliency, e.g. ``"lower centre"``; left is the viewer's left."""
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    return f"{_ROWS[3 * row // len(saliency)]} {_COLUMNS[3 * column // len(saliency)]}"


def _saliency_colors(saliency: np.ndarray) -> np.ndarray:
    """Return the colour of each value; colours also differ in lightness, for colour-blind viewers."""
    levels = np.rint(255 * saliency).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)


def _scale_colors() -> str:
    """Return the colours of the scale over middle grey, as a CSS list."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)[None]
    opacity = _MAX_OPACITY * steps[..., None]
    mixed = 128 * (1 - opacity) + opacity * _saliency_colors(steps)
    return ",".join(f"rgb({red},{green},{blue})" for red, green, blue in mixed[0].round().astype(int))
