"""Images page: emotions of the faces in uploaded images, synthetic samples, or a camera snapshot."""

from collections.abc import Iterator, Sequence
from functools import partial

import streamlit as st

from fer.app.answers import Answer, Answers, Source, analyse, apply_threshold, within_limits
from fer.app.components.code import show_code
from fer.app.components.downloads import (
    download_button,
    result_rows,
    to_csv,
    to_json,
    to_table,
    to_zip,
)
from fer.app.components.face import show_image_result
from fer.app.components.images import choose_sample
from fer.app.components.model_options import choose_model
from fer.app.components.overview import choose_image, show_image
from fer.app.image import ImageAnalysis
from fer.app.resources import Version
from fer.app.settings import MAX_IMAGE_MB, MAX_IMAGES, MAX_SESSION_MB, settings
from fer.app.uploads import show_error
from fer.core.errors import FerError
from fer.core.text import counted
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.predict.predictor import Predictor, turned_note
from fer.predict.result_file import BOX_COLUMNS

_FILES, _CAMERA = "Files", "Camera"
# Keys of widgets.
_SAMPLE, _TABLE = "sample", "answers"


def page() -> None:
    """Show the page."""
    st.title("Which emotion does this face show?", anchor=False)
    st.markdown(
        "Images stay in the server's memory. They are deleted when you clear them, or 30 seconds after you "
        "close this tab."
    )
    sources_box = st.container(key="sources")
    options = choose_model()
    with sources_box:
        _update_answers(options.version)
    answers = [answer.result for answer in _answers().values()]
    for result in answers:
        if isinstance(result, FerError):
            show_error(result)
    results = [
        apply_threshold(result, options.uncertain_below)
        for result in answers
        if isinstance(result, ImageAnalysis)
    ]
    if not results:
        return
    selected = choose_image(results)
    for note in _notes(selected):
        st.info(note)
    show_image_result(selected, options)
    _show_table(results, options.predictor())
    show_code([result.name for result in results], chosen=options)


def _notes(analysis: ImageAnalysis) -> Iterator[str]:
    """Yield what was special about the analysis of an image."""
    if analysis.num_skipped:
        yield f"{counted(analysis.num_skipped, 'more face')} detected but not analysed, the smallest ones."
    if analysis.num_frames > 1:
        yield f"An animation of {analysis.num_frames:,} images: only the first one was analysed."
    if analysis.predictions and (face := analysis.predictions[0].face).rotation:
        yield f"{counted(len(analysis.predictions), 'face')} {turned_note(face)}."


def _answers() -> Answers:
    return st.session_state.setdefault("results", {})


def _update_answers(version: Version) -> None:
    """Show the sources of images, and analyse the new ones, and with another model all.

    Answers stay when a source is hidden, by another page or by the other kind of source. They go when the
    visitor removes the file or clears them.
    """
    source = st.segmented_control(
        "Image source", (_FILES, _CAMERA), default=_FILES, required=True, label_visibility="collapsed"
    )
    sources, removed = (_snapshot(), set[str]()) if source == _CAMERA else _files()
    # A sample only shows what the page does.
    kept = {
        key: answer
        for key, answer in _answers().items()
        if key not in removed and not key.startswith(_SAMPLE)
    }
    if not sources and not kept and source == _FILES:
        sources = _sample()
    st.session_state["results"] = _analyse_all(kept, sources, version)
    if _answers():
        st.button("Clear", icon=":material/delete:", on_click=_clear)


def _clear() -> None:
    """Delete the results, and show new widgets for files and photos, without files."""
    st.session_state["results"] = {}
    st.session_state["cleared"] = st.session_state.get("cleared", 0) + 1
    st.session_state.pop("chosen_sample", None)
    st.session_state.pop(_SAMPLE, None)


def _snapshot() -> list[Source]:
    key = f"photo_{st.session_state.get('cleared', 0)}"
    photo = st.camera_input("Take a photo of a face", key=key, label_visibility="collapsed")
    return [] if photo is None else [Source(photo.file_id, "snapshot.jpg", photo.size, photo.getvalue)]


def _files() -> tuple[list[Source], set[str]]:
    """Return the files of the uploader, and the identifiers of those that the visitor has removed from it."""
    key = f"files_{st.session_state.get('cleared', 0)}"
    # Streamlit forgets the files of an uploader that is not shown: then none was removed.
    was_shown = key in st.session_state
    max_mb = min(MAX_IMAGE_MB, settings().max_upload_mb)
    # Any type: Streamlit would refuse a file without saying what is expected.
    files = st.file_uploader(
        f"Drop images here, in any usual format: up to {MAX_IMAGES} files, {max_mb} MB each, "
        f"{MAX_SESSION_MB} MB in total",
        accept_multiple_files=True,
        max_upload_size=max_mb,
        key=key,
    )
    present = {file.file_id for file in files}
    removed = st.session_state.get("uploaded", set()) - present if was_shown else set()
    st.session_state["uploaded"] = present
    return [Source(file.file_id, file.name, file.size, file.getvalue) for file in files], removed


def _sample() -> list[Source]:
    """Return the sample that the visitor has chosen, also before the visit of another page."""
    st.markdown("**No image at hand?** Click a synthetic face. The name is the expression that was rendered.")
    if _SAMPLE not in st.session_state and "chosen_sample" in st.session_state:
        st.session_state[_SAMPLE] = st.session_state["chosen_sample"]
    chosen = st.session_state["chosen_sample"] = choose_sample(_SAMPLE)
    if chosen is None:
        return []
    sample = SAMPLES[chosen]
    return [Source(f"{_SAMPLE} {chosen}", f"{sample.title}.png", 0, partial(render_sample, sample))]


def _analyse_all(kept: Answers, sources: Sequence[Source], version: Version) -> Answers:
    """Return the kept answers and those of new images, all by this model."""
    new = [source for source in sources if source.identity not in kept]
    accepted = within_limits(kept, new)
    if len(accepted) < len(new):
        st.warning(
            f"Too many images: up to {MAX_IMAGES} with {MAX_SESSION_MB} MB in total are kept, so "
            f"{len(new) - len(accepted):,} of {len(new):,} new ones were left out. Clear the others first."
        )
    # With that of the chosen sample, which is not kept.
    answers = {**_answers(), **kept}
    wanted = [*(answer.source for answer in kept.values()), *accepted]
    missing = [source for source in wanted if not _is_by(version, answers.get(source.identity))]
    progress = st.empty()
    for number, source in enumerate(missing):
        text = f"Detecting faces in image {number + 1} of {len(missing)} …"
        progress.progress(number / len(missing), text)
        answers[source.identity] = analyse(source, version)
    progress.empty()
    return {source.identity: answers[source.identity] for source in wanted}


def _is_by(version: Version, answer: Answer | None) -> bool:
    return answer is not None and answer.model == version.reference


def _show_row(places: Sequence[tuple[int, int]]) -> None:
    """Show the face of the row that the visitor has clicked."""
    if rows := st.session_state[_TABLE].selection.rows:
        image, face = places[rows[0]]
        show_image(image)
        st.session_state["face"] = face


def _show_table(results: Sequence[ImageAnalysis], predictor: Predictor) -> None:
    rows = result_rows(results)
    st.header("All predictions", anchor=False)
    emotions = predictor.card.labels.names
    columns = {
        "picture": st.column_config.TextColumn("image"),
        **dict.fromkeys(("confidence", *emotions), st.column_config.NumberColumn(format="%.2f")),
        **dict.fromkeys(BOX_COLUMNS, st.column_config.NumberColumn(format="%.0f")),
    }
    # Image and face of each row.
    places = [
        (image, face) for image, result in enumerate(results) for face in range(len(result.predictions) or 1)
    ]
    st.dataframe(
        to_table(rows),
        hide_index=True,
        column_config=columns,
        alt="One row per face with its prediction; a click on a row shows the face",
        key=_TABLE,
        selection_mode="single-row",
        on_select=partial(_show_row, places),
    )
    with st.container(horizontal=True):
        download_button("Table (CSV)", lambda: to_csv(rows), "answers.csv", "text/csv")
        content = partial(to_json, results, predictor)
        download_button("Predictions (JSON)", content, "answers.json", "application/json")
        download_button("Annotated images (ZIP)", lambda: to_zip(results), "pictures.zip", "application/zip")
