"""Read the frames of a video from the network: cameras (rtsp://) and files or streams by http://."""

import importlib
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from fer.core.errors import FerError
from fer.core.image_io import SUFFIXES
from fer.predict.video.reader import DEFAULT_FPS, MAX_FPS, Frame

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "srt")
# Seconds to wait for a connection, and for the next data of a stream.
_OPEN_SECONDS, _READ_SECONDS = 10.0, 8.0
# A playlist from the network must not name files of this machine.
_PROTOCOLS = "rtsp,rtsps,rtp,rtmp,rtmps,http,https,httpproxy,hls,udp,tcp,tls,srt,crypto"
# Damaged packets in a row after which a stream counts as unreadable.
_MAX_DAMAGED_PACKETS = 250
_MICROSECONDS = 1_000_000


def is_stream_address(source: str) -> bool:
    """Return whether a source is the address of a video stream, and not of an image."""
    scheme, separator, _ = source.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        return False
    try:
        return PurePosixPath(urlsplit(source).path).suffix.lower() not in SUFFIXES
    except ValueError:
        return False


class Stream:
    """A video from the network, with the attributes of `fer.predict.video.reader.VideoFile`.

    Attributes:
        name: The address without user, password and query.
        fps: Average frames per second; `DEFAULT_FPS` if the stream does not say.
        frame_count: Expected number of frames of a video with an end; None for a live stream.
        live: Whether it has no known end: then old frames are dropped, as of a webcam.
        frames_read: Number of frames read so far.

    Raises:
        FerError: PyAV is missing, the address does not answer in time, or there is no video.
    """

    def __init__(self, address: str) -> None:
        self.name, self.frames_read = _without_secrets(address), 0
        self._broken: str | None = None
        self._av = _import_av()
        self._container = self._open(address)
        self._video = self._container.streams.video[0]
        self._video.thread_type = "AUTO"
        rate = self._video.average_rate or Fraction(0)
        self.fps = float(rate) if 0 < rate <= MAX_FPS else DEFAULT_FPS
        duration = self._container.duration
        self.live = not duration
        self.frame_count = None if self.live else math.ceil(duration / _MICROSECONDS * self.fps)

    def _open(self, address: str) -> Any:
        options = {"rtsp_transport": "tcp", "protocol_whitelist": _PROTOCOLS}
        start = time.monotonic()
        try:
            container = self._av.open(address, timeout=(_OPEN_SECONDS, _READ_SECONDS), options=options)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            # The kind of error after the time-out differs between protocols.
            if time.monotonic() - start > 0.9 * min(_OPEN_SECONDS, _READ_SECONDS):
                raise FerError(
                    f"{self.name}: expected a video stream, got no answer in {_OPEN_SECONDS:.0f} s. Check "
                    "the address, and that the camera or server can be reached from here."
                ) from None
            raise FerError(
                f"{self.name}: expected a video stream, but it cannot be read ({_reason(error)}). Check the "
                "address, user and password; try it in a player such as VLC."
            ) from None
        if container.streams.video:
            return container
        container.close()
        raise FerError(f"{self.name}: expected a video stream, got one without video. Correct the address.")

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, until the end or until the connection breaks.

        Raises:
            FerError: There is no frame.
        """
        start, first, seconds = time.monotonic(), None, 0.0
        for frame in self._decoded():
            if first is None:
                first = frame.time
            elapsed = (frame.time or 0.0) - (first or 0.0)
            if self.frames_read and elapsed <= seconds:
                # The timestamp is missing or does not increase.
                elapsed = max(time.monotonic() - start if self.live else 0.0, seconds + 1 / self.fps)
            index, seconds, self.frames_read = self.frames_read, elapsed, self.frames_read + 1
            yield Frame(index, seconds, _upright(frame))
        if not self.frames_read:
            reason = f" ({self._broken})" if self._broken else ""
            raise FerError(f"{self.name}: expected a video stream, got no frame{reason}. Try it in a player.")

    def _decoded(self) -> Iterator[Any]:
        damaged = 0
        try:
            for packet in self._container.demux(self._video):
                try:
                    frames = packet.decode()
                except self._av.error.InvalidDataError:
                    # Data was lost; later packets may be good.
                    damaged += 1
                    if damaged > _MAX_DAMAGED_PACKETS:
                        raise
                    continue
                damaged = 0
                yield from frames
        except self._av.error.ExitError:
            self._broken = f"no data for {_READ_SECONDS:.0f} s"
        except (self._av.FFmpegError, OSError) as error:
            self._broken = _reason(error)

    def truncation_message(self) -> str | None:
        """Return, after all frames were read, why there are no more; None if the video has ended."""
        if self._broken is None:
            return None
        return (
            f"{self.name}: the stream stopped after {self.frames_read:,} frames, which were processed "
            f"({self._broken})."
        )

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._container.close()


def _import_av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError:
        raise FerError(
            "Videos from the network need the package av (PyAV). Install it: uv pip install av; or download "
            "the video and give its path."
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _upright(frame: Any) -> np.ndarray:
    """Return a frame as RGB, uint8 ``(H, W, 3)``, turned as its display matrix says."""
    image: np.ndarray = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _without_secrets(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return address.partition("://")[0] + "://…"
    return f"{parts.scheme}://{host}{parts.path}"[:200]
