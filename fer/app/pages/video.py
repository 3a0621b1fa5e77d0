"""Video page: emotions over time in an uploaded video, its annotated copy, and downloads."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from fer.app.components.charts import show_emotion_chart
from fer.app.components.downloads import download_button
from fer.app.resources import compute_slot, get_predictor, video_slot
from fer.app.settings import MAX_VIDEO_SECONDS, settings
from fer.app.uploads import display_name, escape_markdown, show_error
from fer.app.video import VIDEO_SUFFIXES, VideoAnalysis, VideoJob
from fer.core.errors import FerError
from fer.core.text import counted
from fer.predict.video.progress import format_duration
from fer.predict.video.summary import describe_durations

# Seconds between two updates of the progress bar.
_UPDATE_SECONDS = 0.2
_WAITING = "Videos of other visitors are being analysed; yours is waiting in the queue …"
# All faces are in the downloads.
_MAX_FACES_SHOWN = 6


def page() -> None:
    """Upload a video, analyse it, and show the emotions of its faces."""
    st.title("How do emotions change during a video?")
    st.markdown(
        f"Videos of up to {MAX_VIDEO_SECONDS:.0f} seconds and {settings().max_upload_mb} MB. "
        "A temporary copy on disk is deleted after the analysis. The video and its annotated copy stay in "
        "memory until you remove the video, or until 30 seconds after you close this tab."
    )
    upload = st.file_uploader("Choose a video", VIDEO_SUFFIXES, key="video_upload")
    if upload is None:
        st.session_state.pop("video", None)
        return
    result = st.session_state.get("video")
    if result is None or result[0] != upload.file_id:
        st.session_state.pop("video", None)
        _show_options(upload)
    else:
        _show_result(result[1], Path(display_name(upload.name)).stem)


def _show_options(upload: Any) -> None:
    """Show the options, and analyse the video when the button is clicked."""
    placeholder = st.empty()
    with placeholder.container():
        with st.container(horizontal=True, gap="medium"):
            bars = st.toggle("Bars", True, help="Draw the probability of every emotion next to each face")
            points = st.toggle("Landmarks", False, help="Draw eyes, nose and mouth corners")
        started = st.button("Analyse the video", type="primary")
    if started:
        placeholder.empty()
        _analyse(upload, bars, points)


def _analyse(upload: Any, bars: bool, points: bool) -> None:
    placeholder = st.empty()
    with placeholder.container():
        bar = st.progress(0.0, "Opening the video …")
        # Any click ends this run of the script, and with it the analysis.
        st.button("Cancel", key="video_cancel")
    job = VideoJob(get_predictor(), compute_slot, _progress_callback(bar), points=points, bars=bars)
    try:
        with video_slot(lambda: bar.progress(0.0, _WAITING)):
            analysis = job.run(upload.name, upload)
    except FerError as error:
        placeholder.empty()
        show_error(error)
        return
    st.session_state["video"] = (upload.file_id, analysis)
    st.rerun()


def _progress_callback(bar: Any) -> Callable[[int, int | None], None]:
    """Return a function that updates the progress bar; Streamlit raises in it when the visitor leaves."""
    first = updated = 0.0

    def update(done: int, total: int | None) -> None:
        nonlocal first, updated
        now = time.monotonic()
        # Timed from the first frame: opening the video does not count.
        first = first or now
        if now - updated >= _UPDATE_SECONDS:
            updated = now
            fraction = min(1.0, done / total) if total else 0.0
            bar.progress(fraction, progress_text(done, total, now - first))

    return update


def progress_text(done: int, total: int | None, elapsed: float) -> str:
    """Return e.g. ``Frame 151 of 301, about 0:02 left``.

    Args:
        done: Number of frames done.
        total: Number of frames expected; None if unknown.
        elapsed: Seconds since the first frame.
    """
    if not total:
        return f"Frame {done:,}"
    if done < 2:
        return f"Frame {done:,} of {total:,}"
    left = elapsed / (done - 1) * max(0, total - done)
    return f"Frame {done:,} of {total:,}, about {format_duration(left)} left"


def _show_result(analysis: VideoAnalysis, stem: str) -> None:
    """Show the annotated video, a summary, the downloads, and a chart per face."""
    if analysis.warning:
        st.warning(escape_markdown(analysis.warning))
    left, right = st.columns([3, 2], gap="large")
    left.video(analysis.video, format="video/mp4", muted=True)
    with right:
        _show_summary(analysis)
        _show_downloads(analysis, stem)
    faces = _shown_faces(analysis)
    if not faces:
        return
    st.subheader("Emotions over time")
    for face in faces[:_MAX_FACES_SHOWN]:
        _show_chart(analysis, face)
    if len(faces) > _MAX_FACES_SHOWN:
        more = counted(len(faces) - _MAX_FACES_SHOWN, "more face")
        st.caption(f"and {more}, not visible for longer than these; the downloads contain all of them.")


def _show_summary(analysis: VideoAnalysis) -> None:
    """Show the number of frames and faces, and for how long each face showed each emotion."""
    faces, summary, durations = _shown_faces(analysis), analysis.summary, analysis.summary.faces
    count = counted(len(durations) + summary.forgotten, "face")
    st.caption(f"{counted(summary.frames, 'frame')}, {summary.seconds:.1f} s, {count}")
    if not faces:
        st.info("No face was detected in this video. Detection works best on large frontal faces.")
    for face in faces[:_MAX_FACES_SHOWN]:
        st.markdown(f"**Face {face}**: {escape_markdown(describe_durations(durations[face]))}")


def _shown_faces(analysis: VideoAnalysis) -> list[int]:
    """Return the faces seen longest first; of very many, the summary forgets those seen only briefly."""
    known = analysis.summary.faces
    return [face for face in analysis.history.faces() if face in known]


def _show_chart(analysis: VideoAnalysis, face: int) -> None:
    times, probabilities = analysis.history.probabilities(face)
    st.markdown(f"**Face {face}**")
    domain = (0.0, float(times[-1] + analysis.history.step / 2))
    show_emotion_chart(times, probabilities, analysis.history.emotions, domain)


def _show_downloads(analysis: VideoAnalysis, stem: str) -> None:
    for label, content, suffix, mime in (
        ("Annotated video (MP4)", analysis.video, "mp4", "video/mp4"),
        ("Table (CSV)", analysis.csv, "csv", "text/csv"),
        ("Table (JSONL)", analysis.jsonl, "jsonl", "application/jsonl"),
    ):
        download_button(label, content, f"{stem}_emotions.{suffix}", mime, width="stretch")
