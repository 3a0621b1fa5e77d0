"""Webcam page: live emotions of the faces in front of the camera, a rolling chart, and a recording."""

from typing import Any

import streamlit as st
from streamlit_webrtc import Translations, WebRtcMode, webrtc_streamer

from fer.app.components.charts import show_bars, show_emotion_chart
from fer.app.live import (
    HISTORY_SECONDS,
    MAX_ROWS,
    MEDIA_CONSTRAINTS,
    CameraProcessor,
    LiveSession,
    Snapshot,
    ice_servers,
)
from fer.app.resources import get_predictor, try_compute_slot
from fer.app.settings import settings

# Seconds between two updates of bars and chart; the video itself is live.
_UPDATE_SECONDS = 1.0
# The image labels all faces.
_MAX_FACES_SHOWN = 3
# Streamlit fades elements while they are updated, which would flicker every second.
_NO_FADE = "<style>[data-stale='true'] { opacity: 1 !important; }</style>"
_VIDEO: dict[str, Any] = {
    "autoPlay": True,
    "playsInline": True,
    "muted": True,
    "controls": False,
    "style": {"width": "100%", "borderRadius": "8px"},
}
# Attribute of `LiveSession`, label, help text.
_OPTIONS = (
    ("mirror", "Mirror", "Mirror the image"),
    ("bars", "Bars", "Draw the probability of every emotion next to each face, if there is room"),
    ("points", "Landmarks", "Draw eyes, nose and mouth corners, if the detector provides them"),
)
_TRANSLATIONS: Translations = {
    "start": "Start the camera",
    "stop": "Stop the camera",
    "select_device": "Choose a camera",
    "device_ask_permission": "Allow the camera in your browser.",
    "device_not_available": "No camera was found. Connect one and try again.",
    "device_access_denied": "The browser denied access to the camera. Allow it for this page and try again.",
    "media_api_not_available": "The browser allows the camera only on secure pages: use https or localhost.",
}
# What to do about each refusal. The component shows the browser's own words.
_REFUSALS = """
- *NotAllowedError, Permission denied*: allow the camera for this page, in the address bar of the browser and
  in the privacy settings of the system. Then click Start again.
- *NotFoundError, Requested device not found*: no camera was found. Connect one.
- *NotReadableError, Could not start video source*: another program uses the camera. Close it.
- *navigator.mediaDevices is undefined*: browsers allow the camera on secure pages only. Use https, or
  localhost.
- The camera starts, but no image comes: a firewall blocks the connection. Ask the person who runs this app
  for a TURN server (`--ice-server`).
"""


def page() -> None:
    """Show the camera, the current emotions, and their course over time."""
    st.html(_NO_FADE)
    st.title("Which emotions do faces show right now?")
    st.markdown("Camera frames are sent to the computer that runs this app, analysed, and then discarded.")
    live = _session()
    left, right = st.columns([3, 2], gap="large")
    with left:
        context = _show_camera(live)
        _show_options(live)
        if not context.state.playing:
            st.expander("The camera does not start?").markdown(_REFUSALS)
    playing = context.state.playing
    interval = _UPDATE_SECONDS if playing else None
    with right:
        st.fragment(_show_current, run_every=interval)(live, context)
    # In a container of its own, as each fragment here: under load, Streamlit may remove a fragment briefly.
    # If other elements moved up into its place, the next update would crash the page in the browser.
    with st.container():
        st.fragment(_show_chart, run_every=interval)(live)
    _show_recording(live, playing)


def _session() -> LiveSession:
    if "live" not in st.session_state:
        st.session_state["live"] = LiveSession(get_predictor(), try_compute_slot)
    return st.session_state["live"]


def _show_camera(live: LiveSession) -> Any:
    """Show the camera; return the WebRTC context with its state and video processor."""
    return webrtc_streamer(
        "webcam",
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": ice_servers(settings().ice_servers)},
        media_stream_constraints=MEDIA_CONSTRAINTS,
        video_processor_factory=lambda: CameraProcessor(live),
        video_html_attrs=_VIDEO,
        translations=_TRANSLATIONS,
        media_toggle_controls=False,
    )


def _show_options(live: LiveSession) -> None:
    """Show a toggle for each option and apply it."""
    with st.container(horizontal=True, gap="medium"):
        for name, title, help_text in _OPTIONS:
            # The key keeps the widget's identity: without it, a changed default would make a new widget, and
            # every second click would be lost.
            value = st.toggle(title, getattr(live, name), key=f"live_{name}", help=help_text)
            setattr(live, name, value)


def _show_current(live: LiveSession, context: Any) -> None:
    """Show the frame rate, and bars for the faces of the newest frame."""
    snapshot = live.snapshot()
    if not context.state.playing:
        st.info("Start the camera to see the emotions. Nothing is stored unless you record it.")
        return
    # The processor exists only once frames arrive, long after the page was built.
    processor = context.video_processor
    if processor is not None and processor.failed:
        st.error("The camera frames cannot be analysed. Stop the camera and start it again.")
    st.caption(_format_rate(snapshot))
    if not snapshot.faces:
        st.markdown("**No face detected.** Look into the camera, with light from the front.")
    for number, prediction in snapshot.faces[:_MAX_FACES_SHOWN]:
        st.markdown(f"**Face {number}**")
        show_bars(prediction.probabilities, prediction.uncertain)
    if len(snapshot.faces) > _MAX_FACES_SHOWN:
        st.caption(f"and {len(snapshot.faces) - _MAX_FACES_SHOWN} more faces in the image")


def _format_rate(snapshot: Snapshot) -> str:
    rate = f"{snapshot.rate:.0f}" if snapshot.rate >= 9.5 else f"{snapshot.rate:.1f}"
    dropped = f", {snapshot.dropped:,} dropped" if snapshot.dropped else ""
    return f"{rate} frames per second  \n{snapshot.processed:,} frames analysed{dropped}"


def _show_chart(live: LiveSession) -> None:
    """Show the probabilities of one face over the last 30 seconds."""
    faces = live.snapshot().recent_faces
    if not faces:
        return
    st.subheader(f"Last {HISTORY_SECONDS:.0f} seconds")
    times, probabilities = live.recent_probabilities(_select_face(faces))
    emotions = get_predictor().card.labels.names
    show_emotion_chart(times, probabilities, emotions, (-HISTORY_SECONDS, 0.0), "seconds ago")


def _select_face(faces: tuple[int, ...]) -> int:
    """Return the face for the chart: the visitor's choice, by default the one seen longest."""
    if len(faces) == 1:
        return faces[0]
    chosen = st.segmented_control(
        "Face", faces[:8], default=faces[0], format_func=lambda number: f"Face {number}", key="live_face"
    )
    return chosen if chosen in faces else faces[0]


def _show_recording(live: LiveSession, playing: bool) -> None:
    """Show the buttons to record and download; outside fragments, as an update would lose clicks on them."""
    snapshot = live.snapshot()
    if not playing and not snapshot.recorded_rows:
        return
    st.subheader("Record")
    toggle, download, status = st.columns([1, 1, 2], vertical_alignment="center")
    if snapshot.recording:
        toggle.button("Stop recording", on_click=live.stop_recording, width="stretch")
    else:
        toggle.button("Start recording", on_click=live.start_recording, width="stretch", disabled=not playing)
    if snapshot.recorded_rows and not snapshot.recording:
        download.download_button(
            "Download CSV", live.to_csv(), "emotions.csv", "text/csv", on_click="ignore", width="stretch"
        )
    with status:
        interval = _UPDATE_SECONDS if snapshot.recording else None
        st.fragment(_show_recording_status, run_every=interval)(live, snapshot.recording)


def _show_recording_status(live: LiveSession, was_recording: bool) -> None:
    """Show the length of the recording; rerun the page when it has stopped because it is full."""
    snapshot = live.snapshot()
    st.caption(_recording_status(snapshot))
    if was_recording and not snapshot.recording:
        st.rerun()


def _recording_status(snapshot: Snapshot) -> str:
    if snapshot.recording_full:
        return f"The recording stopped: it has reached the maximum of {MAX_ROWS:,} rows."
    if snapshot.recording:
        return f"Recording: {snapshot.recorded_rows:,} rows so far, one per face and frame."
    if snapshot.recorded_rows:
        return f"{snapshot.recorded_rows:,} rows recorded. A new recording replaces them."
    return "Records predictions only, no images. They stay in memory until you download them."
