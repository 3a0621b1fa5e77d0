"""Pictures: a visitor's own, drawn ones, or a snapshot."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from fer.app.gallery import SAMPLES, draw_sample, draw_thumbnail
from fer.app.intake import read_upload
from fer.app.judging import Judged, judge
from fer.app.limits import MAX_PICTURE_MB, MAX_PICTURES, MAX_SESSION_MB
from fer.app.parts.downloads import table, to_csv, to_json, to_zip
from fer.app.parts.face import show_picture
from fer.app.parts.images import choose_by_picture
from fer.app.safety import show_error
from fer.app.serving import predictor, turn
from fer.app.settings import settings
from fer.errors import FerError
from fer.picture import SUFFIXES

_FILES, _CAMERA = "Files", "Camera"
Source = tuple[str, str, Callable[[], np.ndarray]]  # what tells it from others, its name, its pixels


def page() -> None:
    """Show the page."""
    st.title("Which emotion does this face show?", anchor=False)
    st.markdown("Pictures stay in this server's memory, and are gone half a minute after you close this tab.")
    judged = _judge_all(_sources())
    if not judged:
        return
    chosen = _choose(judged)
    if chosen.left_out:
        st.info(f"{chosen.left_out:,} more faces, the smallest, were found and not looked at.")
    show_picture(chosen)
    _show_results(judged)


def _sources() -> list[Source]:
    with st.container(key="sources"):
        place = st.segmented_control(
            "Where the pictures come from", (_FILES, _CAMERA), default=_FILES, required=True,
            label_visibility="collapsed",
        )  # fmt: skip
        return _snapshot() if place == _CAMERA else _files() or _samples()


def _snapshot() -> list[Source]:
    taken = st.camera_input("Take a picture of a face", label_visibility="collapsed")
    return [] if taken is None else [(taken.file_id, "snapshot.jpg", partial(_read, taken))]


def _files() -> list[Source]:
    most = min(MAX_PICTURE_MB, settings().max_upload_mb)
    files = st.file_uploader(
        f"Drop pictures here: up to {MAX_PICTURES}, of {most} MB each, {MAX_SESSION_MB} MB together",
        type=sorted(suffix[1:] for suffix in SUFFIXES),
        accept_multiple_files=True,
        max_upload_size=most,
        key="files",
    )
    if len(files) > MAX_PICTURES:
        st.warning(
            f"{len(files)} pictures are more than this page takes: these are the first {MAX_PICTURES}."
        )
    return [(file.file_id, file.name, partial(_read, file)) for file in files[:MAX_PICTURES]]


def _read(file: UploadedFile) -> np.ndarray:
    return read_upload(file.name, file.getvalue())


def _samples() -> list[Source]:
    st.markdown("**No picture at hand?** Click a drawn face. Its name is the expression that was drawn.")
    titles = [sample.title for sample in SAMPLES]
    chosen = choose_by_picture("Drawn faces", [draw_thumbnail(one) for one in SAMPLES], titles, "sample")
    if chosen is None:
        return []
    sample = SAMPLES[chosen]
    return [(f"sample {chosen}", f"{sample.title}.png", partial(draw_sample, sample))]


def _judge_all(sources: Sequence[Source]) -> list[Judged]:
    """Judge what is new, and forget what is no longer there."""
    before: dict[str, Judged | FerError] = st.session_state.get("judged", {})
    now: dict[str, Judged | FerError] = {}
    with st.spinner("Looking for faces …"):
        for identity, name, read in sources:
            now[identity] = before[identity] if identity in before else _judge(name, read)
    st.session_state["judged"] = now
    for answer in now.values():
        if isinstance(answer, FerError):
            show_error(answer)
    return [answer for answer in now.values() if isinstance(answer, Judged)]


def _judge(name: str, read: Callable[[], np.ndarray]) -> Judged | FerError:
    serving = predictor()
    with turn():
        try:
            return judge(name, read(), serving)
        except FerError as error:
            return error


def _choose(judged: Sequence[Judged]) -> Judged:
    if len(judged) == 1:
        return judged[0]
    names = [f"{number}. {one.name}" for number, one in enumerate(judged, 1)]
    chosen = st.selectbox(f"Picture, of {len(judged)}", range(len(judged)), format_func=names.__getitem__)
    return judged[chosen or 0]


def _show_results(judged: Sequence[Judged]) -> None:
    rows = table(judged)
    if not rows:
        return
    st.subheader("All answers", anchor=False)
    shares = {name: st.column_config.NumberColumn(format="percent") for name in ("confidence",)}
    st.dataframe(rows, hide_index=True, column_config=shares, alt="A row for each face, with its answer")
    with st.container(horizontal=True):
        _button("Table (CSV)", lambda: to_csv(rows), "answers.csv", "text/csv")
        _button("Answers (JSON)", lambda: to_json(judged, predictor()), "answers.json", "application/json")
        _button("Pictures (ZIP)", lambda: to_zip(judged), "pictures.zip", "application/zip")


def _button(label: str, make: Callable[[], str | bytes], name: str, kind: str) -> None:
    st.download_button(label, make, file_name=name, mime=kind, on_click="ignore", icon=":material/download:")
