"""Video: emotions along a film, its annotated copy, and both to download."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from fer.app.film import FilmJob, JudgedFilm
from fer.app.film_kind import SUFFIXES
from fer.app.intake import escaped, plain_name
from fer.app.limits import MAX_VIDEO_SECONDS
from fer.app.parts.emotion_lines import show_emotion_lines
from fer.app.safety import show_error
from fer.app.serving import film_turn, predictor, turn
from fer.app.settings import settings
from fer.errors import FerError
from fer.video.screen import clock

_EVERY = 0.2  # seconds between two steps of the progress bar
_WAITING = "Other visitors' films are being looked at; yours comes after them …"
_MOST_FACES = 6  # that have a chart; all are in the downloads


def page() -> None:
    """Take a film, judge it, and show what its faces express."""
    st.title("How do emotions change along a film?")
    st.markdown(
        f"Films of up to {clock(MAX_VIDEO_SECONDS)} minutes and {settings().max_upload_mb} MB. "
        "The copy on disk is deleted as soon as it has been looked at; the film and its annotated copy stay "
        "in memory until you remove the film, or half a minute after you close this tab."
    )
    upload = st.file_uploader("Choose a film", SUFFIXES, key="film_upload")
    if upload is None:
        st.session_state.pop("film", None)
        return
    done = st.session_state.get("film")
    if done is None or done[0] != upload.file_id:
        st.session_state.pop("film", None)
        _offer(upload)
    else:
        _show(done[1], Path(plain_name(upload.name)).stem)


def _offer(upload: Any) -> None:
    """Show what can be chosen, and judge the film when that is asked for."""
    place = st.empty()
    with place.container():
        with st.container(horizontal=True, gap="medium"):
            with_bars = st.toggle("Bars", True, help="Draw the probability of every emotion beside each face")
            with_points = st.toggle("Landmarks", False, help="Draw eyes, nose and corners of the mouth")
        started = st.button("Find the emotions", type="primary")
    if started:
        place.empty()
        _judge(upload, with_bars, with_points)


def _judge(upload: Any, bars: bool, points: bool) -> None:
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, "Opening the film …")
        st.button("Cancel", key="film_cancel")  # a click anywhere ends this run, and with it the work
    job = FilmJob(predictor(), turn, _progress(bar), points=points, bars=bars)
    try:
        with film_turn(lambda: bar.progress(0.0, _WAITING)):
            judged = job.judge(upload.name, upload)
    except FerError as error:
        place.empty()
        show_error(error)
        return
    st.session_state["film"] = (upload.file_id, judged)
    st.rerun()


def _progress(bar: Any) -> Callable[[int, int | None], None]:
    """Return what shows how far the work is; Streamlit ends it there when the visitor goes elsewhere."""
    first = shown = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal first, shown
        now = time.monotonic()
        first = first or now  # opening the film does not count
        if now - shown >= _EVERY:
            shown = now
            share = min(1.0, done / total) if total else 0.0
            bar.progress(share, progress_text(done, total, now - first))

    return show


def progress_text(done: int, total: int | None, elapsed: float) -> str:
    """Return e.g. ``Frame 151 of 301, about 0:02 left``.

    Args:
        done: Frames, the last of them just now.
        total: Frames expected; None where unknown.
        elapsed: Seconds since the first.
    """
    if not total:
        return f"Frame {done:,}"
    if done < 2:
        return f"Frame {done:,} of {total:,}"
    left = elapsed / (done - 1) * max(0, total - done)
    return f"Frame {done:,} of {total:,}, about {clock(left)} left"


def _show(judged: JudgedFilm, stem: str) -> None:
    """Show the annotated film, what was found, the downloads, and the course of each face."""
    if judged.warning:
        st.warning(escaped(judged.warning))
    film, found = st.columns([3, 2], gap="large")
    film.video(judged.film, format="video/mp4", muted=True)
    with found:
        _tell(judged)
        _downloads(judged, stem)
    faces = _faces(judged)
    if not faces:
        return
    st.subheader("Emotions over time")
    for face in faces[:_MOST_FACES]:
        _course(judged, face)
    if len(faces) > _MOST_FACES:
        more = len(faces) - _MOST_FACES
        st.caption(f"{more:,} more faces were seen more shortly; they are in the downloads.")


def _tell(judged: JudgedFilm) -> None:
    """Say in words what was found."""
    faces = _faces(judged)
    number = len(judged.summary.faces) + judged.summary.passed
    named = "1 face" if number == 1 else f"{number:,} faces"
    st.caption(f"{judged.summary.frames:,} frames, {clock(judged.summary.seconds)} minutes, {named}")
    if not faces:
        st.info("No face was found in this film. Faces are found best from the front and not too small.")
    for face in faces[:_MOST_FACES]:
        st.markdown(f"**Face {face}**: {escaped(shares(judged.summary.faces[face]))}")


def _faces(judged: JudgedFilm) -> list[int]:
    """Return the faces seen longest, the longest first; of very many, only these are still known."""
    return [face for face in judged.history.faces() if face in judged.summary.faces]


def shares(emotions: Counter[str]) -> str:
    """Return what a face showed most, e.g. ``happy in 80 % of 120 frames, neutral in 20 %``."""
    total = emotions.total()
    (first, count), *others = emotions.most_common(3)
    rest = "".join(f", {name} in {100 * number / total:.0f} %" for name, number in others)
    return f"{first} in {100 * count / total:.0f} % of {total:,} frames{rest}"


def _course(judged: JudgedFilm, face: int) -> None:
    times, probs = judged.history.shares(face)
    st.markdown(f"**Face {face}**")
    ends = (0.0, float(times[-1] + judged.history.step / 2))
    show_emotion_lines(times, probs, judged.history.emotions, ends)


def _downloads(judged: JudgedFilm, stem: str) -> None:
    files = (
        ("Annotated film (MP4)", judged.film, "mp4", "video/mp4"),
        ("Table (CSV)", judged.csv, "csv", "text/csv"),
        ("Table (JSONL)", judged.jsonl, "jsonl", "application/jsonl"),
    )
    for label, content, suffix, kind in files:
        st.download_button(
            label, content, f"{stem}_emotions.{suffix}", kind, on_click="ignore", width="stretch",
            icon=":material/download:",
        )  # fmt: skip
