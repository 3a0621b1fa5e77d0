"""The camera component: start, stop, choice of the device, and errors that say what to do."""

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit_webrtc import Translations, WebRtcMode, webrtc_streamer

from fer.app.camera import MEDIA_CONSTRAINTS, CameraProcessor, ice_servers
from fer.app.live import LiveSession
from fer.app.settings import settings

_VIDEO: dict[str, Any] = {
    "autoPlay": True,
    "playsInline": True,
    "muted": True,
    "controls": False,
    "style": {"width": "100%", "borderRadius": "8px"},
}
_DENIED = (
    "The browser denied access to the camera. Allow it for this page, in the address bar of the browser and "
    "in the privacy settings of the system. Then start the camera again."
)
_NOT_FOUND = "No camera was found. Connect one, then start the camera again."
_INSECURE = "The browser allows the camera only on secure pages. Open this page with https, or on localhost."
_TRANSLATIONS: Translations = {
    "start": "Start the camera",
    "stop": "Stop the camera",
    "select_device": "Choose a camera",
    "device_ask_permission": "Allow the camera in your browser.",
    "device_not_available": _NOT_FOUND,
    "device_access_denied": _DENIED,
    "media_api_not_available": _INSECURE,
}
# Part of the browser's error -> what to do. The component has no translation for these.
ERRORS = {
    "NotAllowedError": _DENIED,
    "NotFoundError": _NOT_FOUND,
    "NotReadableError": "Another program uses the camera. Close it, then start the camera again.",
    "navigator.mediaDevices is undefined": _INSECURE,
}
_OTHER_ERROR = "The camera could not be started."
_replace_errors = st.components.v2.component(
    "fer_camera_errors", js=Path(__file__).with_name("camera_errors.js").read_text(encoding="utf-8")
)


def show_camera(live: LiveSession) -> Any:
    """Show the camera; return the WebRTC context with its state and video processor.

    Args:
        live: Receives the frames.
    """
    context = webrtc_streamer(
        "webcam",
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": ice_servers(settings().ice_servers)},
        media_stream_constraints=MEDIA_CONSTRAINTS,
        video_processor_factory=lambda: CameraProcessor(live),
        video_html_attrs=_VIDEO,
        translations=_TRANSLATIONS,
        media_toggle_controls=False,
    )
    _replace_errors(key="camera_errors", data={"messages": ERRORS, "other": _OTHER_ERROR}, height=0)
    return context
