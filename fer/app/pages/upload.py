"""Images page: emotions of the faces in uploaded images, synthetic samples, or a camera snapshot."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from fer.app.components.downloads import download_button, result_rows, to_csv, to_json, to_zip
from fer.app.components.face import show_image_result
from fer.app.components.images import choose_sample
from fer.app.image import SAMPLES, ImageAnalysis, analyse_image, render_sample
from fer.app.resources import compute_slot, get_predictor
from fer.app.settings import MAX_IMAGE_MB, MAX_IMAGES, MAX_SESSION_MB, settings
from fer.app.uploads import read_upload, show_error
from fer.core.errors import FerError
from fer.core.image_io import SUFFIXES

_FILES, _CAMERA = "Files", "Camera"
# Identifier, file name, and a function that returns the pixels.
Source = tuple[str, str, Callable[[], np.ndarray]]


def page() -> None:
    """Show the page."""
    st.title("Which emotion does this face show?", anchor=False)
    st.markdown("Images stay in the server's memory and are deleted 30 seconds after you close this tab.")
    results = _analyse_all(_sources())
    if not results:
        return
    selected = _select(results)
    if selected.num_skipped:
        st.info(f"{selected.num_skipped:,} more faces were detected but not analysed, the smallest ones.")
    show_image_result(selected)
    _show_table(results)


def _sources() -> list[Source]:
    with st.container(key="sources"):
        source = st.segmented_control(
            "Image source", (_FILES, _CAMERA), default=_FILES, required=True, label_visibility="collapsed"
        )
        return _snapshot() if source == _CAMERA else _files() or _samples()


def _snapshot() -> list[Source]:
    photo = st.camera_input("Take a photo of a face", label_visibility="collapsed")
    return [] if photo is None else [(photo.file_id, "snapshot.jpg", partial(_read, photo))]


def _files() -> list[Source]:
    max_mb = min(MAX_IMAGE_MB, settings().max_upload_mb)
    files = st.file_uploader(
        f"Drop images here: up to {MAX_IMAGES} files, {max_mb} MB each, {MAX_SESSION_MB} MB in total",
        type=sorted(suffix[1:] for suffix in SUFFIXES),
        accept_multiple_files=True,
        max_upload_size=max_mb,
        key="files",
    )
    if len(files) > MAX_IMAGES:
        st.warning(f"Too many images: got {len(files)}, only the first {MAX_IMAGES} are shown.")
    return [(file.file_id, file.name, partial(_read, file)) for file in files[:MAX_IMAGES]]


def _read(file: UploadedFile) -> np.ndarray:
    return read_upload(file.name, file.getvalue())


def _samples() -> list[Source]:
    st.markdown("**No image at hand?** Click a synthetic face. The name is the expression that was rendered.")
    chosen = choose_sample("sample")
    if chosen is None:
        return []
    sample = SAMPLES[chosen]
    return [(f"sample {chosen}", f"{sample.title}.png", partial(render_sample, sample))]


def _analyse_all(sources: Sequence[Source]) -> list[ImageAnalysis]:
    """Analyse new images, reuse earlier results, and drop those of removed images."""
    earlier: dict[str, ImageAnalysis | FerError] = st.session_state.get("results", {})
    results: dict[str, ImageAnalysis | FerError] = {}
    with st.spinner("Detecting faces …"):
        for identity, name, read in sources:
            results[identity] = earlier[identity] if identity in earlier else _analyse(name, read)
    st.session_state["results"] = results
    for result in results.values():
        if isinstance(result, FerError):
            show_error(result)
    return [result for result in results.values() if isinstance(result, ImageAnalysis)]


def _analyse(name: str, read: Callable[[], np.ndarray]) -> ImageAnalysis | FerError:
    predictor = get_predictor()
    with compute_slot():
        try:
            return analyse_image(name, read(), predictor)
        except FerError as error:
            return error


def _select(results: Sequence[ImageAnalysis]) -> ImageAnalysis:
    if len(results) == 1:
        return results[0]
    names = [f"{number}. {result.name}" for number, result in enumerate(results, 1)]
    chosen = st.selectbox(f"Image (of {len(results)})", range(len(results)), format_func=names.__getitem__)
    return results[chosen or 0]


def _show_table(results: Sequence[ImageAnalysis]) -> None:
    rows = result_rows(results)
    if not rows:
        return
    st.subheader("All predictions", anchor=False)
    columns = {
        "picture": st.column_config.TextColumn("image"),
        "confidence": st.column_config.NumberColumn(format="percent"),
    }
    st.dataframe(rows, hide_index=True, column_config=columns, alt="One row per face with its prediction")
    with st.container(horizontal=True):
        download_button("Table (CSV)", lambda: to_csv(rows), "answers.csv", "text/csv")
        content = partial(to_json, results, get_predictor())
        download_button("Predictions (JSON)", content, "answers.json", "application/json")
        download_button("Annotated images (ZIP)", lambda: to_zip(results), "pictures.zip", "application/zip")
