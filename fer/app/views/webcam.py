"""Webcam: emotions of the faces before it, while they change."""

from typing import Any

import streamlit as st
from streamlit_webrtc import Translations, WebRtcMode, webrtc_streamer

from fer.app.camera import CONSTRAINTS, CameraProcessor, ice_servers
from fer.app.live import SPAN, LiveSession, Snapshot
from fer.app.parts.bars import show_bars
from fer.app.parts.emotion_lines import show_emotion_lines
from fer.app.recording import MAX_ROWS
from fer.app.serving import predictor, prompt_turn
from fer.app.settings import settings

_EVERY = 1.0  # seconds between two looks at the figures; the picture itself moves with the camera
_MOST_FACES = 3  # whose bars are shown beside the picture; all have their label in it
# Streamlit pales what is being renewed; each second, that would flicker.
_STEADY = "<style>[data-stale='true'] { opacity: 1 !important; }</style>"
_VIDEO: dict[str, Any] = {
    "autoPlay": True,
    "playsInline": True,
    "muted": True,
    "controls": False,
    "style": {"width": "100%", "borderRadius": "8px"},
}
_CHOICES = (  # what of a session can be chosen, its title, and what it does
    ("mirror", "Mirror", "Show the picture as a mirror does"),
    ("bars", "Bars", "Draw the probability of every emotion beside each face, where there is room"),
    ("points", "Landmarks", "Draw eyes, nose and corners of the mouth, where the detector finds them"),
)
_WORDS: Translations = {
    "start": "Start the camera",
    "stop": "Stop the camera",
    "select_device": "Choose a camera",
    "device_ask_permission": "Allow the camera in your browser.",
    "device_not_available": "No camera was found. Connect one, and try again.",
    "device_access_denied": "The browser may not use the camera. Allow it for this page, and try again.",
    "media_api_not_available": "Browsers give the camera to safe pages only: use https, or localhost.",
}


def page() -> None:
    """Show the camera, what its faces express, and how that changed."""
    st.html(_STEADY)
    st.title("What do faces show, moment by moment?")
    st.markdown(
        "Pictures of your camera go to the computer that runs this app, are looked at, and dropped at once."
    )
    live = _session()
    camera, figures = st.columns([3, 2], gap="large")
    with camera:
        context = _camera(live)
        _choices(live)
    playing = context.state.playing
    every = _EVERY if playing else None
    with figures:
        st.fragment(_figures, run_every=every)(live, context)
    st.fragment(_course, run_every=every)(live, playing)
    _record(live, playing)


def _session() -> LiveSession:
    if "live" not in st.session_state:
        st.session_state["live"] = LiveSession(predictor(), prompt_turn)
    return st.session_state["live"]


def _camera(live: LiveSession) -> Any:
    """Show the camera's picture; return what tells whether it is on, and what looks at it."""
    return webrtc_streamer(
        "webcam",
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": ice_servers(settings().ice_servers)},
        media_stream_constraints=CONSTRAINTS,
        video_processor_factory=lambda: CameraProcessor(live),
        video_html_attrs=_VIDEO,
        translations=_WORDS,
        media_toggle_controls=False,
    )


def _choices(live: LiveSession) -> None:
    """Let the visitor choose what is drawn."""
    with st.container(horizontal=True, gap="medium"):
        for name, title, words in _CHOICES:
            # Without a key its value would be part of what it is, and each second click be lost.
            chosen = st.toggle(title, getattr(live, name), key=f"live_{name}", help=words)
            setattr(live, name, chosen)


def _figures(live: LiveSession, context: Any) -> None:
    """Show frames a second, and bars of the faces of this moment."""
    now = live.snapshot()
    if not context.state.playing:
        st.info("Start the camera to see what its faces show. Nothing is kept unless you record it.")
        return
    processor = context.video_processor  # there only once pictures flow, long after the page was made
    if processor is not None and processor.failed:
        st.error("Pictures come, but they cannot be looked at. Stop the camera, and start it again.")
    st.caption(_rate(now))
    if not now.faces:
        st.markdown("**No face in sight.** Look into the camera, with light from the front.")
    for number, answer in now.faces[:_MOST_FACES]:
        st.markdown(f"**Face {number}**")
        show_bars(answer.probabilities, answer.uncertain)
    if len(now.faces) > _MOST_FACES:
        st.caption(f"and {len(now.faces) - _MOST_FACES} more in the picture")


def _rate(now: Snapshot) -> str:
    rate = f"{now.rate:.0f}" if now.rate >= 9.5 else f"{now.rate:.1f}"
    skipped = f", {now.dropped:,} skipped" if now.dropped else ""
    return f"{rate} frames a second  \n{now.frames:,} looked at{skipped}"


def _course(live: LiveSession, playing: bool) -> None:
    """Show the last half minute of one face."""
    known = live.snapshot().known
    if not known:
        return
    st.subheader(f"The last {SPAN:.0f} seconds")
    face = _choose_face(known)
    times, probs = live.shares(face)
    emotions = predictor().card.labels.names
    show_emotion_lines(times, probs, emotions, (-SPAN, 0.0), "seconds ago")


def _choose_face(known: tuple[int, ...]) -> int:
    """Return the face whose course is shown: the one seen longest, or the visitor's choice."""
    if len(known) == 1:
        return known[0]
    chosen = st.segmented_control(
        "Face", known[:8], default=known[0], format_func=lambda number: f"Face {number}", key="live_face"
    )
    return chosen if chosen in known else known[0]


def _record(live: LiveSession, playing: bool) -> None:
    """Let answers be recorded and downloaded. Buttons are not renewed each second: clicks would get lost."""
    now = live.snapshot()
    if not playing and not now.recorded:
        return
    st.subheader("Record")
    toggle, download, state = st.columns([1, 1, 2], vertical_alignment="center")
    if now.recording:
        toggle.button("Stop recording", on_click=live.stop_recording, width="stretch")
    else:
        toggle.button("Start recording", on_click=live.start_recording, width="stretch", disabled=not playing)
    if now.recorded and not now.recording:
        download.download_button(
            "Download CSV", live.csv(), "emotions.csv", "text/csv", on_click="ignore", width="stretch"
        )
    with state:
        st.fragment(_count, run_every=_EVERY if now.recording else None)(live, now.recording)


def _count(live: LiveSession, was_recording: bool) -> None:
    """Say how long the recording is; renew the buttons when it has ended of itself."""
    now = live.snapshot()
    st.caption(_recorded(now))
    if was_recording and not now.recording:
        st.rerun()


def _recorded(now: Snapshot) -> str:
    if now.full:
        return f"The recording is full with {MAX_ROWS:,} rows and has stopped."
    if now.recording:
        return f"Recording: {now.recorded:,} rows so far, one a face and frame."
    if now.recorded:
        return f"{now.recorded:,} rows recorded. A new recording replaces them."
    return "Answers only, never pictures; they stay in memory until you download them."
