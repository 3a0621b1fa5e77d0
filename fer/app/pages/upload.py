"""Images page: emotions of the faces in uploaded images, synthetic samples, or a camera snapshot."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import streamlit as st

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
from fer.app.components.overview import choose_image, select_image
from fer.app.image import SAMPLES, ImageAnalysis, analyse_image, render_sample
from fer.app.resources import compute_slot, get_predictor
from fer.app.settings import MAX_IMAGE_MB, MAX_IMAGES, MAX_SESSION_MB, settings
from fer.app.uploads import read_upload, show_error
from fer.core.errors import FerError
from fer.core.image_io import SUFFIXES, count_frames
from fer.core.text import counted
from fer.predict.result_file import BOX_COLUMNS

_FILES, _CAMERA = "Files", "Camera"
# Keys of widgets.
_SAMPLE, _TABLE = "sample", "answers"
# Identifier, file name, and a function that returns the file or the pixels.
Source = tuple[str, str, Callable[[], bytes | np.ndarray]]
# The results that a session keeps, by the identifier of the image.
Results = dict[str, ImageAnalysis | FerError]


def page() -> None:
    """Show the page."""
    st.title("Which emotion does this face show?", anchor=False)
    st.markdown(
        "Images stay in the server's memory. They are deleted when you clear them, or 30 seconds after you "
        "close this tab."
    )
    _update_results()
    results = [result for result in _results().values() if isinstance(result, ImageAnalysis)]
    for result in _results().values():
        if isinstance(result, FerError):
            show_error(result)
    if not results:
        return
    selected = choose_image(results)
    if selected.num_skipped:
        st.info(f"{counted(selected.num_skipped, 'more face')} detected but not analysed, the smallest ones.")
    if selected.num_frames > 1:
        st.info(f"An animation of {selected.num_frames:,} images: only the first one was analysed.")
    show_image_result(selected)
    _show_table(results)
    show_code([result.name for result in results])


def _results() -> Results:
    return st.session_state.setdefault("results", {})


def _update_results() -> None:
    """Show the sources of images, and analyse the new ones.

    Results stay when a source is hidden, by another page or by the other kind of source. They go when the
    visitor removes the file or clears them.
    """
    with st.container(key="sources"):
        source = st.segmented_control(
            "Image source", (_FILES, _CAMERA), default=_FILES, required=True, label_visibility="collapsed"
        )
        sources, removed = (_snapshot(), set[str]()) if source == _CAMERA else _files()
        # A sample only shows what the page does.
        kept = [key for key in _results() if key not in removed and not key.startswith(_SAMPLE)]
        if not sources and not kept and source == _FILES:
            sources = _sample()
        st.session_state["results"] = _analyse_all(kept, sources)
        if _results():
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
    return [] if photo is None else [(photo.file_id, "snapshot.jpg", photo.getvalue)]


def _files() -> tuple[list[Source], set[str]]:
    """Return the files of the uploader, and the identifiers of those that the visitor has removed from it."""
    key = f"files_{st.session_state.get('cleared', 0)}"
    # Streamlit forgets the files of an uploader that is not shown: then none was removed.
    was_shown = key in st.session_state
    max_mb = min(MAX_IMAGE_MB, settings().max_upload_mb)
    files = st.file_uploader(
        f"Drop images here: up to {MAX_IMAGES} files, {max_mb} MB each, {MAX_SESSION_MB} MB in total",
        type=sorted(suffix[1:] for suffix in SUFFIXES),
        accept_multiple_files=True,
        max_upload_size=max_mb,
        key=key,
    )
    present = {file.file_id for file in files}
    removed = st.session_state.get("uploaded", set()) - present if was_shown else set()
    st.session_state["uploaded"] = present
    return [(file.file_id, file.name, file.getvalue) for file in files], removed


def _sample() -> list[Source]:
    """Return the sample that the visitor has chosen, also before the visit of another page."""
    st.markdown("**No image at hand?** Click a synthetic face. The name is the expression that was rendered.")
    if _SAMPLE not in st.session_state and "chosen_sample" in st.session_state:
        st.session_state[_SAMPLE] = st.session_state["chosen_sample"]
    chosen = st.session_state["chosen_sample"] = choose_sample(_SAMPLE)
    if chosen is None:
        return []
    sample = SAMPLES[chosen]
    return [(f"{_SAMPLE} {chosen}", f"{sample.title}.png", partial(render_sample, sample))]


def _analyse_all(kept: Sequence[str], sources: Sequence[Source]) -> Results:
    """Return the kept results and those of new images, `MAX_IMAGES` at most."""
    earlier = _results()
    results = {identity: earlier[identity] for identity in kept}
    new = [source for source in sources if source[0] not in results]
    room = MAX_IMAGES - len(results)
    if len(new) > room:
        st.warning(
            f"Too many images: {MAX_IMAGES} are kept, so {len(new) - room:,} of {len(new):,} new ones were "
            "left out. Clear the others first."
        )
    progress = st.empty()
    for number, (identity, name, read) in enumerate(new[:room]):
        if identity not in earlier:
            total = min(room, len(new))
            progress.progress(number / total, f"Detecting faces in image {number + 1} of {total} …")
        results[identity] = earlier[identity] if identity in earlier else _analyse(name, read)
    progress.empty()
    return results


def _analyse(name: str, read: Callable[[], bytes | np.ndarray]) -> ImageAnalysis | FerError:
    predictor = get_predictor()
    with compute_slot():
        try:
            content = read()
            if not isinstance(content, bytes):
                return analyse_image(name, content, predictor)
            analysis = analyse_image(name, read_upload(name, content), predictor)
            return replace(analysis, num_frames=count_frames(BytesIO(content)))
        except FerError as error:
            return error


def _show_row(places: Sequence[tuple[int, int]]) -> None:
    """Show the face of the row that the visitor has clicked."""
    if rows := st.session_state[_TABLE].selection.rows:
        image, face = places[rows[0]]
        select_image(image)
        st.session_state["face"] = face


def _show_table(results: Sequence[ImageAnalysis]) -> None:
    rows = result_rows(results)
    st.subheader("All predictions", anchor=False)
    emotions = get_predictor().card.labels.names
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
        content = partial(to_json, results, get_predictor())
        download_button("Predictions (JSON)", content, "answers.json", "application/json")
        download_button("Annotated images (ZIP)", lambda: to_zip(results), "pictures.zip", "application/zip")
