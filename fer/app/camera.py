"""The browser's camera: requested video, frames over WebRTC, STUN and TURN servers."""

import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import av
from streamlit_webrtc import VideoProcessorBase

from fer.app.live import LiveSession

_LOG = logging.getLogger("fer.app")
# Requested from the browser. Larger frames do not improve detection at webcam distance, and take longer to
# send.
MEDIA_CONSTRAINTS: dict[str, Any] = {
    "video": {
        "width": {"ideal": 640},
        "height": {"ideal": 480},
        "frameRate": {"ideal": 20, "max": 30},
        "facingMode": "user",
    },
    "audio": False,
}


class CameraProcessor(VideoProcessorBase):
    """Passes the newest camera frame to a `LiveSession`.

    Attributes:
        failed: Whether prediction failed on the last frame; that frame is shown unchanged.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        live.start()
        self.failed = False

    async def recv_queued(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Process the newest of the frames received since the last call; drop the others."""
        self._live.count_dropped(len(frames) - 1)
        return [self.recv(frames[-1])]

    def recv(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame with its faces annotated."""
        # Every exception is caught: an uncaught one would end the stream without a message.
        try:
            image = self._live.process(frame.to_ndarray(format="rgb24"), time.monotonic())
        except Exception:
            if not self.failed:
                _LOG.exception("A camera frame could not be processed")
            self.failed = True
            return frame
        self.failed = False
        return av.VideoFrame.from_ndarray(image, format="rgb24")


def ice_servers(addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Return STUN and TURN servers as ``RTCIceServer`` dictionaries.

    None are needed if the browser reaches the server directly, e.g. on the same computer.

    Args:
        addresses: ``stun:HOST:PORT``, ``turn:USER:PASSWORD@HOST:PORT`` or ``turns:…``. Special characters in
            the user name and password may be percent-encoded.
    """
    return [_ice_server(address) for address in addresses]


def _ice_server(address: str) -> dict[str, Any]:
    scheme, _, rest = address.partition(":")
    credentials, separator, host = rest.rpartition("@")
    if not separator:
        return {"urls": [address]}
    user, _, password = credentials.partition(":")
    return {"urls": [f"{scheme}:{host}"], "username": unquote(user), "credential": unquote(password)}
