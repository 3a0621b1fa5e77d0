"""Video page: emotions over time in an uploaded video, its annotated copy, and downloads."""

import time
from pathlib import Path
from typing import Any

import streamlit as st

from fer.app.components.charts import show_emotion_chart
from fer.app.components.code import show_code
from fer.app.components.downloads import download_button
from fer.app.resources import compute_slot, get_predictor, video_slot
from fer.app.settings import MAX_VIDEO_SECONDS, settings
from fer.app.uploads import display_name, escape_markdown, show_error
from fer.app.video import VIDEO_SUFFIXES, VideoAnalysis
from fer.app.video_task import VideoTask
from fer.core.errors import FerError
from fer.core.text import counted
from fer.predict.video.progress import format_duration
from fer.predict.video.summary import describe_durations

# Seconds between two updates of the progress bar.
_UPDATE_SECONDS = 0.4
_WAITING = "Your video is waiting for its turn …"
# Key of the analysis in the session.
_TASK = "video_task"
# All faces are in the downloads.
_MAX_FACES_SHOWN = 6


def page() -> None:
    """Upload a video, analyse it, and show the emotions of its faces."""
    st.title("How do emotions change during a video?")
    st.markdown(
        f"Videos of up to {MAX_VIDEO_SECONDS:.0f} seconds and {settings().max_upload_mb} MB. "
        "A temporary copy on disk is deleted after the analysis. The video and its annotated copy stay in "
        "memory until you clear them, or until 30 seconds after you close this tab."
    )
    upload = _show_uploader()
    task: VideoTask | None = st.session_state.get(_TASK)
    if upload is not None and (task is None or task.file_id != upload.file_id):
        _drop_task()
        _show_options(upload)
    elif task is not None and task.result is None:
        _watch()
    elif task is not None and isinstance(task.result, VideoAnalysis):
        name = display_name(task.name)
        _show_result(task.result, Path(name).stem)
        options = "--annotate annotated.mp4 --csv timeline.csv"
        outputs = 'annotate="annotated.mp4", csv="timeline.csv"'
        body = f"print(run_video({name!r}, predictor, {outputs}))"
        show_code([name], options, body, "from fer.predict.video.run import run_video\n")
    elif task is not None and isinstance(task.result, FerError):
        show_error(task.result)


def _show_uploader() -> Any:
    """Return the chosen file; the analysis of a file that the visitor has removed is dropped.

    Streamlit forgets the file when another page is visited: the analysis continues, and its result stays.
    """
    key = f"video_{st.session_state.get('videos_cleared', 0)}"
    was_shown = key in st.session_state
    upload = st.file_uploader("Choose a video", VIDEO_SUFFIXES, key=key)
    if was_shown and upload is None and st.session_state.get("had_video"):
        _drop_task()
    st.session_state["had_video"] = upload is not None
    return upload


def _drop_task() -> None:
    if (task := st.session_state.pop(_TASK, None)) is not None:
        task.cancel()


def _clear() -> None:
    """Delete the result, and show a new uploader, without a file."""
    _drop_task()
    st.session_state["videos_cleared"] = st.session_state.get("videos_cleared", 0) + 1


def _show_options(upload: Any) -> None:
    """Show the options, and analyse the video when the button is clicked."""
    with st.container(horizontal=True, gap="medium"):
        bars = st.toggle("Bars", True, help="Draw the probability of every emotion next to each face")
        points = st.toggle("Landmarks", False, help="Draw eyes, nose and mouth corners")
    if st.button("Analyse the video", type="primary"):
        st.session_state[_TASK] = VideoTask(
            get_predictor(), compute_slot, video_slot, upload.file_id, upload.name, upload, points, bars
        )
        st.rerun()


@st.fragment(run_every=_UPDATE_SECONDS)
def _watch() -> None:
    """Show the progress of the analysis until it ends."""
    # Not an argument: a session that ends must keep no reference to the task.
    task: VideoTask | None = st.session_state.get(_TASK)
    if task is None or task.result is not None:
        st.rerun()
    elif task.first_frame is None:
        st.progress(0.0, _WAITING)
    else:
        fraction = min(1.0, task.done / task.total) if task.total else 0.0
        elapsed = time.monotonic() - task.first_frame
        st.progress(fraction, progress_text(task.done, task.total, elapsed))
    st.caption("You can look at other pages meanwhile.")
    if st.button("Cancel"):
        _drop_task()
        st.rerun()


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
        st.button("Clear", icon=":material/delete:", on_click=_clear, width="stretch")
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
