"""The page of comparison: one face before several models, their cards side by side, accuracy and speed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from fer.app import comparing
from fer.app.gallery import SAMPLES, draw_sample, draw_thumbnail
from fer.app.intake import escaped, read_upload
from fer.app.limits import MAX_PICTURE_MB, SHOWN_SIDE
from fer.app.parts import tables
from fer.app.parts.bars import show_bars
from fer.app.parts.images import choose_by_picture
from fer.app.parts.speed_chart import speed_chart
from fer.app.serving import Version, predictor, turn, versions
from fer.app.settings import settings
from fer.errors import FerError
from fer.faces.face import Face
from fer.faces.reduce import reduced
from fer.picture import SUFFIXES

_BESIDE = 3  # versions in a row
_AT_ONCE = 6  # versions at most: each stays in memory
_SPEEDS, _SEEN = "speeds of compared versions", "compared picture"  # keys of the session


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture and the faces in it.

    Attributes:
        picture: As small as pictures are shown, uint8 ``(h, w, 3)``.
        faces: In its pixels.
    """

    picture: np.ndarray
    faces: list[Face]


def page() -> None:
    """Compare versions that the visitor chooses."""
    st.html(tables.STYLE)
    st.title("Compare versions")
    known = comparing.distinct(versions())
    if len(known) < 2:
        _explain()
        return
    chosen = st.multiselect(
        "Versions", known, default=known[:2], max_selections=_AT_ONCE,
        format_func=lambda version: version.title, help="The others are compared with the first.",
    )  # fmt: skip
    if len(chosen) < 2:
        st.info("Choose two versions or more.")
        return
    _show_answers(chosen)
    _show_cards(chosen)
    _show_speed(chosen)


def _explain() -> None:
    """Say how there come to be versions."""
    st.markdown(
        "There is only one model here, so there is nothing to compare it with. Models that are exported with "
        "`--register` become numbered versions in a folder:"
    )
    st.code(
        "fer-export outputs/train/DATE/RUN --name smile --register models/\nfer-app --models models/",
        language="bash",
    )
    st.markdown("Start the app with that folder, and its versions can be chosen on this page.")


def _show_answers(chosen: list[Version]) -> None:
    st.header("The same face")
    seen = _see(*_source())
    if not seen.faces:
        st.image(seen.picture, width=240, alt="The picture")
        st.info("No face was found in this picture. Try another one.")
        return
    st.markdown(
        "Each model cuts the face out as it saw faces in training: the small picture is what it sees."
    )
    place = 0
    if len(seen.faces) > 1:
        place = st.selectbox(
            "Face", range(len(seen.faces)), format_func=lambda place: f"{place + 1}, by size"
        )
    for start in range(0, len(chosen), _BESIDE):
        part = chosen[start : start + _BESIDE]
        for column, version in zip(st.columns(len(part)), part, strict=True):
            with column:
                _show_answer(version, seen.picture, seen.faces[place])


def _see(identity: str, read: Callable[[], np.ndarray]) -> _Seen:
    """Return what a picture shows; the one that this session saw last is not read again."""
    before = st.session_state.get(_SEEN)
    if before is None or before[0] != identity:
        st.session_state[_SEEN] = before = (identity, _look(read))
    if isinstance(before[1], str):
        raise FerError(before[1])
    return before[1]


def _look(read: Callable[[], np.ndarray]) -> _Seen | str:
    """Read a picture and find its faces; return what is wrong where it cannot be read."""
    finder = predictor()
    with turn():
        try:
            picture = reduced(read(), SHOWN_SIDE)[0]
        except FerError as error:
            return str(error)
        return _Seen(picture, finder.find(picture))


def _source() -> tuple[str, Callable[[], np.ndarray]]:
    """Return what tells the visitor's own picture, else the drawn one, from others; and what reads it."""
    most = min(MAX_PICTURE_MB, settings().max_upload_mb)
    kinds = sorted(suffix[1:] for suffix in SUFFIXES)
    file = st.file_uploader(
        f"A picture of your own, up to {most} MB", type=kinds, max_upload_size=most, key="compared"
    )
    if file is not None:
        return file.file_id, lambda: read_upload(file.name, file.getvalue())
    st.markdown("Or a drawn face; its name is the expression that was drawn:")
    thumbnails, titles = [draw_thumbnail(one) for one in SAMPLES], [one.title for one in SAMPLES]
    chosen = choose_by_picture("Drawn faces", thumbnails, titles, "compare_sample", required=True)
    return f"sample {chosen or 0}", partial(draw_sample, SAMPLES[chosen or 0])


def _show_answer(version: Version, picture: np.ndarray, face: Face) -> None:
    judge = predictor(version.reference)
    with turn():
        cut = judge.cut(picture, [face])
        (answer,) = judge.judge([face], cut)
    st.subheader(escaped(version.title), anchor=False)
    st.image(cut[0], width=120, alt=f"The face as {version.title} sees it")
    show_bars(answer.probabilities, answer.uncertain)


def _show_cards(chosen: list[Version]) -> None:
    st.header("What their cards say")
    caption = (
        "Figures of the validation split with 95 % intervals. ECE: how far percentages are off. A dash: not "
        "on the card."
    )
    st.html(tables.table(comparing.HEAD, comparing.rows(chosen, _measured(chosen)), caption))
    for note in comparing.notes(chosen):
        st.markdown(f"- {escaped(note)}")


def _show_speed(chosen: list[Version]) -> None:
    st.header("Accuracy against speed")
    st.markdown(
        "Milliseconds of a card come from the machine that exported it. Measured here, all models answer in "
        "turns on one face and one processor core, without the time to find the face."
    )
    if st.button("Measure speed here", icon=":material/speed:"):
        with st.spinner("Measuring for a few seconds …"):
            st.session_state[_SPEEDS] = (_key(chosen), comparing.measure_versions(chosen))
        st.rerun()  # the table above shows them too
    here = _measured(chosen)
    points = comparing.points(chosen, here)
    if len(points) < 2:
        st.markdown("The cards do not tell the speed of two comparable versions: measure it here.")
        return
    st.altair_chart(speed_chart(points, "measured here" if here else "from the cards"), width="stretch")


def _measured(chosen: list[Version]) -> list[float]:
    """Return what was measured in this session of these very versions, or nothing."""
    key, speeds = st.session_state.get(_SPEEDS, ((), []))
    return speeds if key == _key(chosen) else []


def _key(chosen: list[Version]) -> tuple[str, ...]:
    return tuple(version.card.model["sha256"] for version in chosen)
