"""Comparison page: predictions of several model versions on one face, their metrics, accuracy and speed."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import streamlit as st

from fer.app import comparison
from fer.app.components.charts import show_bars, speed_chart
from fer.app.components.html import parts
from fer.app.components.images import choose_by_thumbnail, choose_sample
from fer.app.resources import Version, compute_slot, get_predictor, list_versions
from fer.app.settings import MAX_DISPLAY_SIDE, MAX_IMAGE_MB, settings
from fer.app.uploads import escape_markdown, read_upload
from fer.core.errors import FerError
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.base import Face, downscale, in_reading_order
from fer.predict.predictor import Prediction

_VERSIONS_PER_ROW = 3
# Each selected version stays in memory.
_MAX_VERSIONS = 6
# Faces of an image that can be selected: the largest ones.
_MAX_FACES = 24
# Keys of the session state.
_SPEEDS, _IMAGE = "speeds of compared versions", "compared image"


class _DetectedImage(NamedTuple):
    """An image, reduced for display, uint8 ``(h, w, 3)``, and its faces in pixels of it."""

    image: np.ndarray
    faces: list[Face]


class _VersionPrediction(NamedTuple):
    """A version, the face as it sees it, uint8 ``(S, S, 3)``, and its prediction."""

    version: Version
    crop: np.ndarray
    prediction: Prediction


def page() -> None:
    """Compare versions that the visitor selects."""
    st.title("Compare model versions")
    versions = comparison.unique_versions(list_versions())
    if len(versions) < 2:
        _show_instructions()
        return
    selected = st.multiselect(
        "Versions",
        versions,
        default=versions[:2],
        max_selections=_MAX_VERSIONS,
        format_func=lambda version: version.title,
        help="The first version is the reference for the others.",
    )
    if len(selected) < 2:
        st.info("Choose at least two versions.")
        return
    _show_predictions(selected)
    _show_cards(selected)
    _show_speed(selected)


def _show_instructions() -> None:
    """Explain how to register versions."""
    st.markdown(
        "There is only one model here. To compare models, register several versions in a folder: export "
        "them with `--register`."
    )
    st.code(
        "fer-export outputs/train/DATE/RUN --name smile --register models/\nfer-app --models models/",
        language="bash",
    )
    st.markdown("Start the app with that folder to choose its versions on this page.")


def _show_predictions(selected: list[Version]) -> None:
    st.header("Predictions on the same face")
    detected = _detect_cached(*_image_source())
    if not detected.faces:
        st.image(detected.image, width=240, alt="The image")
        st.info("No face was detected in this image. Try another one.")
        return
    st.markdown("Each model crops the face as in its training data. The small image is its input.")
    face = detected.faces[_select_face(detected)]
    predictions = [_predict(version, detected.image, face) for version in selected]
    for start in range(0, len(selected), _VERSIONS_PER_ROW):
        # A row that is not full has empty columns: all bars have the same scale.
        columns = st.columns(_VERSIONS_PER_ROW)
        row = predictions[start : start + _VERSIONS_PER_ROW]
        for column, prediction in zip(columns, row, strict=False):
            with column:
                _show_prediction(prediction, predictions[0])


def _select_face(detected: _DetectedImage) -> int:
    """Return the face that the visitor selects; a single one needs no selection."""
    if len(detected.faces) == 1:
        return 0
    crops = list(get_predictor().crop(detected.image, detected.faces))
    titles = [f"#{number}" for number in range(1, len(crops) + 1)]
    return choose_by_thumbnail("Select a face", crops, titles, "compare_face", required=True) or 0


def _detect_cached(identity: str, read: Callable[[], np.ndarray]) -> _DetectedImage:
    """Return an image with its faces; the last one of this session is cached."""
    cached = st.session_state.get(_IMAGE)
    if cached is None or cached[0] != identity:
        st.session_state[_IMAGE] = cached = (identity, _detect(read))
    if isinstance(cached[1], str):
        raise FerError(cached[1])
    return cached[1]


def _detect(read: Callable[[], np.ndarray]) -> _DetectedImage | str:
    """Read an image and detect its faces; return the error message if it cannot be read."""
    predictor = get_predictor()
    with compute_slot():
        try:
            image = downscale(read(), MAX_DISPLAY_SIDE)[0]
        except FerError as error:
            return str(error)
        return _DetectedImage(image, in_reading_order(predictor.find_faces(image)[:_MAX_FACES]))


def _image_source() -> tuple[str, Callable[[], np.ndarray]]:
    """Return an identifier and a reader of the uploaded image, or of the selected synthetic face."""
    max_mb = min(MAX_IMAGE_MB, settings().max_upload_mb)
    # Any type: Streamlit would refuse a file without saying what is expected.
    file = st.file_uploader(f"Your own image, up to {max_mb} MB", max_upload_size=max_mb, key="compared")
    if file is not None:
        return file.file_id, lambda: read_upload(file.name, file.getvalue())
    st.markdown("Or a synthetic face. The name is the expression that was rendered:")
    chosen = choose_sample("compare_sample", required=True) or 0
    return f"sample {chosen}", partial(render_sample, SAMPLES[chosen])


def _predict(version: Version, image: np.ndarray, face: Face) -> _VersionPrediction:
    predictor = get_predictor(version.reference)
    with compute_slot():
        crops = predictor.crop(image, [face])
        (prediction,) = predictor.classify_crops([face], crops)
    return _VersionPrediction(version, crops[0], prediction)


def _show_prediction(shown: _VersionPrediction, first: _VersionPrediction) -> None:
    """Show the prediction of a version, with the emotions in the order of the first version's."""
    title, prediction = shown.version.title, shown.prediction
    ranked = sorted(first.prediction.probabilities.items(), key=lambda item: -item[1])
    order = [name for name, _ in ranked if name in prediction.probabilities]
    order += [name for name in prediction.probabilities if name not in order]
    st.subheader(escape_markdown(title), anchor=False)
    st.image(shown.crop, width=120, alt=f"Input of {title}: the cropped face")
    show_bars(prediction.probabilities, prediction.uncertain, order)


def _show_cards(selected: list[Version]) -> None:
    st.header("Metrics of the model cards")
    caption = (
        "Metrics on the validation split with 95 % confidence intervals. ECE: expected calibration error. "
        "A dash: not on the card."
    )
    rows = comparison.comparison_rows(selected, _measured_ms(selected))
    st.html(parts.table(comparison.COLUMNS, rows, caption))
    for note in comparison.comparison_notes(selected):
        st.markdown(f"- {escape_markdown(note)}")


def _show_speed(selected: list[Version]) -> None:
    st.header("Accuracy and speed")
    st.markdown(
        "The milliseconds on a card were measured on the machine that exported the model. A measurement here "
        "runs the models in turn on one face and one CPU core of this server, without face detection."
    )
    if st.button("Measure speed here", icon=":material/speed:"):
        with st.spinner("Measuring for a few seconds …"):
            st.session_state[_SPEEDS] = (_cache_key(selected), comparison.measure_latencies(selected))
        # Rerun: the table above shows the measurements too.
        st.rerun()
    measured = _measured_ms(selected)
    points = comparison.accuracy_speed_points(selected, measured)
    if len(points) < 2:
        st.markdown("Fewer than two comparable versions have a speed on their card. Measure it here.")
        return
    st.altair_chart(speed_chart(points, "measured here" if measured else "from the cards"), width="stretch")


def _measured_ms(selected: list[Version]) -> list[float]:
    """Return the latencies measured in this session for exactly these versions, or an empty list."""
    key, latencies = st.session_state.get(_SPEEDS, ((), []))
    return latencies if key == _cache_key(selected) else []


def _cache_key(selected: list[Version]) -> tuple[str, ...]:
    return tuple(version.card.model["sha256"] for version in selected)
