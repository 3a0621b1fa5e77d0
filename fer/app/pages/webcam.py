"""Webcam page: live emotions of the faces in front of the camera, a rolling chart, and a recording."""

from typing import Any

import streamlit as st

from fer.app.components.camera import show_camera
from fer.app.components.charts import show_bars, show_emotion_chart
from fer.app.components.images import to_jpeg
from fer.app.components.model_options import choose_model
from fer.app.live import HISTORY_SECONDS, LiveSession, LiveState
from fer.app.recording import MAX_ROWS
from fer.app.resources import get_predictor, try_compute_slot
from fer.core.text import counted, percent
from fer.predict.video.summary import describe_durations, emotion_text

# Seconds between two updates of bars and chart; the video itself is live.
_UPDATE_SECONDS = 1.0
# The image labels all faces.
_MAX_FACES_SHOWN = 3
# The summary lists the faces seen longest.
_MAX_FACES_IN_SUMMARY = 8
# Streamlit fades elements while they are updated, which would flicker every second.
_NO_FADE = "<style>[data-stale='true'] { opacity: 1 !important; }</style>"
# Attribute of `LiveSession`, label, help text.
_OPTIONS = (
    ("mirror", "Mirror", "Mirror the image"),
    ("bars", "Bars", "Draw the probability of every emotion next to each face, if there is room"),
    ("points", "Landmarks", "Draw eyes, nose and mouth corners, if the detector provides them"),
)
_BEFORE_START = """
**What happens when you start the camera**

1. The browser asks for access to the camera.
2. A box appears around each face, with its emotion and how certain it is.
3. Bars show the probabilities of all emotions, a chart the last 30 seconds.

Nothing is stored unless you record it or save a frame.
"""
_NO_VIDEO = (
    "The camera starts, but no video appears? A firewall blocks the connection. Ask the person who runs this "
    "app for a TURN server (`--ice-server`)."
)


def page() -> None:
    """Show the camera, the current emotions, and their course over time."""
    st.html(_NO_FADE)
    st.title("Which emotions do faces show right now?")
    st.markdown("Camera frames are sent to the computer that runs this app, analysed, and then discarded.")
    live = _session()
    left, right = st.columns([3, 2], gap="large")
    with left:
        context = show_camera(live)
        st.fragment(_show_options)(live)
        st.fragment(_choose_model)(live)
    playing = context.state.playing
    interval = _UPDATE_SECONDS if playing else None
    with right:
        st.fragment(_show_current, run_every=interval)(live, context)
    # In a container of its own, as each fragment here: under load, Streamlit may remove a fragment briefly.
    # If other elements moved up into its place, the next update would crash the page in the browser.
    with st.container():
        st.fragment(_show_chart, run_every=interval)(live)
    # Fragments, because a click then runs only them: if the whole page ran again while it was running, the
    # camera component could lose its state and stop. Not in those above, as an update would lose clicks.
    st.fragment(_show_recording)(live, playing)
    st.fragment(_show_saved_frame)(live, playing)


def _session() -> LiveSession:
    if "live" not in st.session_state:
        st.session_state["live"] = LiveSession(get_predictor(), try_compute_slot)
    return st.session_state["live"]


def _choose_model(live: LiveSession) -> None:
    """Show the choice of model, threshold and smoothing, and apply it."""
    options = choose_model(smoothing=True)
    live.configure(options.predictor(), options.uncertain_below, options.smooth)


def _show_options(live: LiveSession) -> None:
    """Show a toggle for each option and apply it."""
    with st.container(horizontal=True, gap="medium"):
        for name, title, help_text in _OPTIONS:
            # The key keeps the widget's identity: without it, a changed default would make a new widget, and
            # every second click would be lost.
            value = st.toggle(title, getattr(live, name), key=f"live_{name}", help=help_text)
            setattr(live, name, value)


def _show_current(live: LiveSession, context: Any) -> None:
    """Show the frame rate, and bars for the faces of the newest frame; a summary once the camera stops."""
    state = live.state()
    if not context.state.playing:
        _show_summary(live)
        return
    # The processor exists only once frames arrive, long after the page was built.
    processor = context.video_processor
    if processor is not None and processor.failed:
        st.error("The camera frames cannot be analysed. Stop the camera and start it again.")
    st.caption(_format_rate(state))
    if not state.faces:
        st.markdown("**No face detected.** Look into the camera, with light from the front.")
    for number, prediction in state.faces[:_MAX_FACES_SHOWN]:
        st.markdown(f"**Face {number}**")
        show_bars(prediction.probabilities, prediction.uncertain)
    if len(state.faces) > _MAX_FACES_SHOWN:
        st.caption(f"and {counted(len(state.faces) - _MAX_FACES_SHOWN, 'more face')} in the image")


def _format_rate(state: LiveState) -> str:
    if not state.processed:
        return _NO_VIDEO
    rate = f"{state.rate:.0f}" if state.rate >= 9.5 else f"{state.rate:.1f}"
    dropped = f", {state.dropped:,} dropped" if state.dropped else ""
    speed = f"{rate} frames per second, {max(1, round(state.latency))} ms per frame"
    return f"{speed}  \n{counted(state.processed, 'frame')} analysed{dropped}"


def _show_summary(live: LiveSession) -> None:
    """Show what the camera saw, or before the first start what will happen."""
    summary = live.summary()
    if not summary.frames:
        st.markdown(_BEFORE_START)
        return
    faces = summary.faces
    st.header("Summary", anchor=False)
    count = counted(len(faces) + summary.forgotten, "face")
    st.caption(f"{summary.seconds:.1f} s, {counted(summary.frames, 'frame')} analysed, {count}")
    longest = sorted(faces, key=lambda number: -sum(faces[number].values()))[:_MAX_FACES_IN_SUMMARY]
    lines = [f"- **Face {number}**: {describe_durations(faces[number])}" for number in longest]
    st.markdown("\n".join(lines))
    if len(faces) > len(longest):
        st.caption(f"and {counted(len(faces) - len(longest), 'more face')}, not seen for longer")


def _show_chart(live: LiveSession) -> None:
    """Show the probabilities of one face over the last 30 seconds."""
    faces = live.state().recent_faces
    if not faces:
        return
    st.header(f"Last {HISTORY_SECONDS:.0f} seconds")
    times, probabilities = live.recent_probabilities(_select_face(faces))
    show_emotion_chart(times, probabilities, live.emotions, (-HISTORY_SECONDS, 0.0), "seconds ago")


def _select_face(faces: tuple[int, ...]) -> int:
    """Return the face for the chart: the visitor's choice, by default the one seen longest."""
    if len(faces) == 1:
        return faces[0]
    chosen = st.segmented_control(
        "Face", faces[:8], default=faces[0], format_func=lambda number: f"Face {number}", key="live_face"
    )
    return chosen if chosen in faces else faces[0]


def _show_recording(live: LiveSession, playing: bool) -> None:
    """Show the buttons to record and download.

    They are always there, disabled where they do not apply. If one replaced another, Streamlit would keep the
    old one below the new one for a while: the row would move away under a click, which would then be lost.
    """
    state = live.state()
    if not playing and not state.recorded_rows:
        return
    st.header("Record")
    start, stop, download, status = st.columns([1, 1, 1, 2], vertical_alignment="center")
    recording, finished = state.recording, bool(state.recorded_rows) and not state.recording
    start.button(
        "Start recording", on_click=live.start_recording, width="stretch", disabled=recording or not playing
    )
    stop.button("Stop recording", on_click=live.stop_recording, width="stretch", disabled=not recording)
    download.download_button(
        "Download CSV", live.to_csv() if finished else "", "emotions.csv", "text/csv", key="live_csv",
        on_click="ignore", width="stretch", disabled=not finished,
    )  # fmt: skip
    with status:
        interval = _UPDATE_SECONDS if state.recording else None
        st.fragment(_show_recording_status, run_every=interval)(live, state.recording)


def _show_recording_status(live: LiveSession, was_recording: bool) -> None:
    """Show the length of the recording; rerun the page when it has stopped because it is full."""
    state = live.state()
    st.caption(_recording_status(state))
    if was_recording and not state.recording:
        st.rerun()


def _recording_status(state: LiveState) -> str:
    if state.recording_full:
        return f"The recording stopped: it has reached the maximum of {MAX_ROWS:,} rows."
    if state.recording:
        return f"Recording: {counted(state.recorded_rows, 'row')} so far, one per face and frame."
    if state.recorded_rows:
        return f"{counted(state.recorded_rows, 'row')} recorded. A new recording replaces the last."
    return "Records predictions only, no images. They stay in memory until you download them."


def _show_saved_frame(live: LiveSession, playing: bool) -> None:
    """Show the buttons to save a frame, and the frame that was saved.

    The buttons are always there, for the reason given in `_show_recording`.
    """
    saved = live.state().saved
    if not playing and saved is None:
        return
    st.header("Save a frame")
    save, download, delete, note = st.columns([1, 1, 1, 2], vertical_alignment="center")
    jpeg = to_jpeg(saved.image) if saved is not None else b""
    save.button("Save this frame", on_click=live.save_frame, width="stretch", disabled=not playing)
    download.download_button(
        "Download JPEG", jpeg, "frame.jpg", "image/jpeg", key="live_jpeg",
        on_click="ignore", width="stretch", disabled=saved is None,
    )  # fmt: skip
    delete.button("Delete", on_click=live.delete_saved_frame, width="stretch", disabled=saved is None)
    note.caption("Keeps the image with its boxes in memory until you delete it or close the page.")
    if saved is None:
        return
    faces = ", ".join(
        f"face {number} {emotion_text(prediction)} {percent(prediction.confidence, 0)}"
        for number, prediction in saved.faces
    )
    st.image(
        jpeg, width="content", caption=faces or "no face", alt="The saved frame with boxes around its faces"
    )
