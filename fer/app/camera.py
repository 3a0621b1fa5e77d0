"""Between a visitor's camera and `LiveSession`: what streamlit-webrtc wants to be given."""

import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import av
from streamlit_webrtc import VideoProcessorBase

from fer.app.live import LiveSession

# Larger pictures find no more faces before a screen, and take longer to send.
CONSTRAINTS: dict[str, Any] = {
    "video": {
        "width": {"ideal": 640},
        "height": {"ideal": 480},
        "frameRate": {"ideal": 20, "max": 30},
        "facingMode": "user",
    },
    "audio": False,
}
_LOG = logging.getLogger("fer.app")


class CameraProcessor(VideoProcessorBase):
    """Gives each newest frame to a session.

    Attributes:
        failed: Whether the last frame could not be looked at; it was shown as it came.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self.failed = False

    async def recv_queued(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Look at the newest of the frames that came since the last call; the others are dropped."""
        self._live.drop(len(frames) - 1)
        return [self.recv(frames[-1])]

    def recv(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame with its faces drawn in."""
        try:
            picture = self._live.process(frame.to_ndarray(format="rgb24"), time.monotonic())
        except Exception:  # it would end the stream without a word to the visitor
            if not self.failed:
                _LOG.exception("A frame of a camera failed")
            self.failed = True
            return frame
        self.failed = False
        return av.VideoFrame.from_ndarray(picture, format="rgb24")


def ice_servers(addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Return STUN and TURN servers as browsers want them.

    Args:
        addresses: ``stun:HOST:PORT``, ``turn:USER:PASSWORD@HOST:PORT`` or ``turns:…``; a name or password
            may have its special signs percent-encoded. None are needed where the server can be reached
            directly, as on the same computer.
    """
    return [_ice_server(address) for address in addresses]


def _ice_server(address: str) -> dict[str, Any]:
    kind, _, rest = address.partition(":")
    access, at, place = rest.rpartition("@")
    if not at:
        return {"urls": [address]}
    user, _, password = access.partition(":")
    return {"urls": [f"{kind}:{place}"], "username": unquote(user), "credential": unquote(password)}
