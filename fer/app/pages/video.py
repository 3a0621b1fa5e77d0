"""Video page: emotions over time in an uploaded video, its annotated copy, and downloads."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from fer.app.components.charts import show_emotion_chart
from fer.app.components.code import show_code
from fer.app.components.downloads import download_button
from fer.app.components.model_options import ModelOptions, choose_model
from fer.app.components.strips import Strip, show_strips
from fer.app.resources import available_detectors, compute_slot, get_predictor, video_slot
from fer.app.settings import MAX_VIDEO_SECONDS, settings
from fer.app.uploads import display_name, escape_markdown, show_error
from fer.app.video import Look, VideoAnalysis
from fer.app.video_overview import Overview, make_overview
from fer.app.video_task import VideoSettings, VideoTask
from fer.core.errors import FerError
from fer.core.text import counted
from fer.predict.predictor import Predictor
from fer.predict.video.progress import format_duration
from fer.predict.video.summary import describe_durations

# Seconds between two updates of the progress bar.
_UPDATE_SECONDS = 0.4
_WAITING = "Your video is waiting for its turn …"
# Keys of the session: the video, its running or last task, the last analysis, settings not to start with.
_SOURCE, _TASK, _ANALYSIS, _CANCELLED = "video_source", "video_task", "video_analysis", "video_cancelled"
_OVERVIEW = "video_overview"
# Keys of widgets.
_DETECTOR, _BARS, _POINTS, _CHART = "video_detector", "video_bars", "video_points", "video_chart_face"
_PLAYERS = "video_players"
# All faces are in the downloads.
_MAX_FACES_SHOWN = 20
SAMPLE = Path(__file__).parents[1] / "sample.mp4"


class _Source(NamedTuple):
    """A video of the visitor, or the sample."""

    file_id: str
    name: str
    content: bytes


class _Finished(NamedTuple):
    """An analysis, and the settings that it has been made with."""

    settings: VideoSettings
    analysis: VideoAnalysis


def page() -> None:
    """Upload a video, analyse it, and show the emotions of its faces."""
    st.title("How do emotions change during a video?", anchor=False)
    st.markdown(
        f"Videos of up to {MAX_VIDEO_SECONDS:.0f} seconds and {settings().max_upload_mb} MB. "
        "A temporary copy on disk is deleted after the analysis. The video and its annotated copy stay in "
        "memory until you clear them, or until 30 seconds after you close this tab."
    )
    source = _choose_source()
    with st.container(key="video_settings"):
        options = choose_model(smoothing=True)
        detector, look = _choose_look(options)
    if source is None:
        return
    wanted = VideoSettings(source.file_id, options.version.reference, detector, look)
    predictor = get_predictor(options.version.reference, detector)
    _update_task(source, wanted, predictor)
    task: VideoTask | None = st.session_state.get(_TASK)
    finished: _Finished | None = st.session_state.get(_ANALYSIS)
    # Always there, so that the players below it stay in place and do not start again.
    with st.container(key="video_state"):
        if task is not None and isinstance(task.result, FerError):
            show_error(task.result)
        elif task is not None and task.result is None:
            _watch()
        elif st.session_state.get(_CANCELLED) == wanted:
            st.button("Analyse the video", type="primary", on_click=_forget_cancelled)
    if finished is not None and wanted.has_same_faces(finished.settings):
        _show_result(finished.analysis, look, Path(display_name(source.name)).stem)
        _show_code(source, options, detector, look)


def _choose_source() -> _Source | None:
    """Return the video of the session: the chosen file, or the sample.

    Streamlit forgets a file when another page is visited: the video and its analysis stay.
    """
    with st.container(key="sources"):
        key = f"video_{st.session_state.get('videos_cleared', 0)}"
        was_shown = key in st.session_state
        # Any type: Streamlit would refuse a file without saying what is expected.
        upload = st.file_uploader("Choose a video (MP4, MOV, MKV, WebM or AVI)", key=key)
        if upload is None and was_shown and st.session_state.get("had_video"):
            # The visitor has removed the file.
            _drop()
        st.session_state["had_video"] = upload is not None
        source: _Source | None = st.session_state.get(_SOURCE)
        if upload is not None and (source is None or source.file_id != upload.file_id):
            _drop()
            source = st.session_state[_SOURCE] = _Source(upload.file_id, upload.name, upload.getvalue())
        source = st.session_state.get(_SOURCE)
        if source is None:
            st.markdown("**No video at hand?** Two synthetic people in a video call of nine seconds:")
            st.button("Try the sample video", on_click=_choose_sample, icon=":material/play_circle:")
        else:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button("Clear", icon=":material/delete:", on_click=_clear)
                if upload is None:
                    st.markdown(escape_markdown(display_name(source.name)), width="content")
    return source


def _choose_sample() -> None:
    _drop()
    st.session_state[_SOURCE] = _Source("sample", SAMPLE.name, SAMPLE.read_bytes())


def _drop_task() -> None:
    if (task := st.session_state.pop(_TASK, None)) is not None:
        task.cancel()


def _drop() -> None:
    """Delete the video and all that was computed of it."""
    _drop_task()
    for key in (_SOURCE, _ANALYSIS, _CANCELLED, _OVERVIEW, _CHART):
        st.session_state.pop(key, None)


def _clear() -> None:
    """Delete everything, and show a new uploader, without a file."""
    _drop()
    st.session_state["videos_cleared"] = st.session_state.get("videos_cleared", 0) + 1


def _forget_cancelled() -> None:
    st.session_state.pop(_CANCELLED, None)


def _choose_look(options: ModelOptions) -> tuple[str | None, Look]:
    """Show the options of this page; return the detector (None: the app's) and the settings of the copy."""
    names = available_detectors(get_predictor(options.version.reference).detector)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="video_options"):
        bars = st.toggle(
            "Bars", True, key=_BARS, persist_state="session", help="Draw all probabilities next to each face"
        )
        points = st.toggle(
            "Landmarks", False, key=_POINTS, persist_state="session", help="Draw eyes, nose, mouth corners"
        )
        chosen = names[0]
        if len(names) > 1:
            chosen = st.segmented_control(
                "Face detector",
                names,
                default=names[0],
                required=True,
                key=_DETECTOR,
                persist_state="session",
            )
    look = Look(options.smooth, options.uncertain_below, points, bars)
    return (None if chosen == names[0] else chosen), look


def _update_task(source: _Source, wanted: VideoSettings, predictor: Predictor) -> None:
    """Keep a finished task's analysis, and start a task if the settings have changed."""
    task: VideoTask | None = st.session_state.get(_TASK)
    if task is not None and isinstance(task.result, VideoAnalysis):
        st.session_state[_ANALYSIS] = _Finished(task.settings, task.result)
        st.session_state.pop(_TASK)
        task = None
    finished: _Finished | None = st.session_state.get(_ANALYSIS)
    if finished is not None and finished.settings == wanted:
        _drop_task()
    elif (task is None or task.settings != wanted) and st.session_state.get(_CANCELLED) != wanted:
        _drop_task()
        _forget_cancelled()
        earlier = finished.analysis if finished and wanted.has_same_faces(finished.settings) else None
        st.session_state[_TASK] = VideoTask(
            predictor, compute_slot, video_slot, wanted, source.name, source.content, earlier
        )


@st.fragment(run_every=_UPDATE_SECONDS)
def _watch() -> None:
    """Show the progress of the task until it ends."""
    # Not an argument: a session that ends must keep no reference to the task.
    task: VideoTask | None = st.session_state.get(_TASK)
    if task is None or task.result is not None:
        st.rerun()
    prefix = "Writing the annotated copy again. " if task.is_copy else ""
    if task.first_frame is None:
        st.progress(0.0, prefix or _WAITING)
    else:
        fraction = min(1.0, task.done / task.total) if task.total else 0.0
        elapsed = time.monotonic() - task.first_frame
        st.progress(fraction, prefix + progress_text(task.done, task.total, elapsed))
    if task.is_copy:
        return
    st.caption("You can look at other pages meanwhile.")
    if st.button("Cancel"):
        st.session_state[_CANCELLED] = task.settings
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


def _show_result(analysis: VideoAnalysis, look: Look, stem: str) -> None:
    """Show the two videos, the strips of the faces, a chart, and the downloads."""
    if analysis.warning:
        st.warning(escape_markdown(analysis.warning))
    with st.container(key=_PLAYERS):
        left, right = st.columns(2, gap="medium")
        left.markdown("**Original**")
        left.video(analysis.original, format=_mime(analysis.original), muted=True)
        right.markdown("**Annotated**")
        right.video(analysis.video, format="video/mp4")
    overview = _overview(analysis, look)
    faces = overview.faces()
    _show_header(analysis, overview)
    if faces:
        _show_strips(analysis, overview, faces[:_MAX_FACES_SHOWN])
        if len(faces) > _MAX_FACES_SHOWN:
            more = counted(len(faces) - _MAX_FACES_SHOWN, "more face")
            st.caption(f"and {more}, not visible for longer than these; the downloads contain all of them.")
        _show_chart(overview, faces[:_MAX_FACES_SHOWN])
    else:
        st.info("No face was detected in this video. Detection works best on large frontal faces.")
    _show_downloads(analysis, look, stem)


def _mime(content: bytes) -> str:
    return "video/webm" if content.startswith(b"\x1a\x45\xdf\xa3") else "video/mp4"


def _overview(analysis: VideoAnalysis, look: Look) -> Overview:
    """Return the overview with these settings, computed once."""
    key = (id(analysis.frames), look.smooth, look.uncertain_below)
    known = st.session_state.get(_OVERVIEW)
    if known is None or known[0] != key:
        known = key, make_overview(analysis.frames, look.smooth, look.uncertain_below)
        st.session_state[_OVERVIEW] = known
    return known[1]


def _show_header(analysis: VideoAnalysis, overview: Overview) -> None:
    summary = overview.summary
    count = counted(len(summary.faces) + summary.forgotten, "face")
    st.header("Emotions over time", anchor=False)
    hint = " Click on a strip to see that moment." if summary.faces else ""
    st.caption(f"{counted(summary.frames, 'frame')}, {analysis.frames.seconds:.1f} s, {count}.{hint}")


def _show_strips(analysis: VideoAnalysis, overview: Overview, faces: Sequence[int]) -> None:
    durations = overview.summary.faces
    strips = [
        Strip(
            f"Face {face}",
            describe_durations(durations[face]),
            analysis.frames.thumbnail(face),
            overview.segments.get(face, []),
        )
        for face in faces
    ]
    show_strips(strips, analysis.frames.seconds, analysis.frames.emotions, f".st-key-{_PLAYERS} video")


def _show_chart(overview: Overview, faces: Sequence[int]) -> None:
    with st.expander("Probability of each emotion", icon=":material/area_chart:"):
        face = faces[0]
        if len(faces) > 1:
            face = st.selectbox("Face", faces, format_func=lambda number: f"Face {number}", key=_CHART)
        times, probabilities = overview.history.probabilities(face)
        domain = (0.0, float(times[-1] + overview.history.step / 2))
        show_emotion_chart(times, probabilities, overview.history.emotions, domain)


def _show_downloads(analysis: VideoAnalysis, look: Look, stem: str) -> None:
    frames = analysis.frames
    tables: tuple[tuple[str, Any, str, str], ...] = (
        ("Annotated video (MP4)", analysis.video, "mp4", "video/mp4"),
        ("Table (CSV)", partial(frames.to_csv, look.smooth, look.uncertain_below), "csv", "text/csv"),
        (
            "Table (JSONL)",
            partial(frames.to_jsonl, look.smooth, look.uncertain_below),
            "jsonl",
            "application/jsonl",
        ),
    )
    with st.container(horizontal=True):
        for label, content, suffix, mime in tables:
            download_button(label, content, f"{stem}_emotions.{suffix}", mime)


def _show_code(source: _Source, options: ModelOptions, detector: str | None, look: Look) -> None:
    name = display_name(source.name)
    smooth = "" if options.smooth == Look.smooth else f"{options.smooth:g}"
    flags = ["--annotate annotated.mp4 --csv timeline.csv"]
    flags += [f"--smooth {smooth}"] if smooth else []
    flags += ["--all"] if look.bars else []
    keywords = ['annotate="annotated.mp4"', 'csv="timeline.csv"']
    keywords += [f"smooth={smooth}"] if smooth else []
    keywords += [f"bars={look.bars}, points={look.points}"]
    body = f"print(run_video({name!r}, predictor, {', '.join(keywords)}))"
    imports = "from fer.predict.video.run import run_video\n"
    show_code([name], " ".join(flags), body, imports, chosen=options, detector=detector)
