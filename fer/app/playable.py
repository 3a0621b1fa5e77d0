"""H.264 video writer for browsers, based on PyAV; the OpenCV wheel cannot write H.264."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.stream import VideoStream

from fer.errors import FerError

# Pixels; larger frames are downscaled.
MAX_OUTPUT_SIDE = 1280
# Per second; the usual time base of H.264.
_TICKS = 90_000
# As fast as face detection, without visible loss: 3 ms of one core for a frame of 640 x 480.
_CODEC_OPTIONS = {"preset": "veryfast", "crf": "23", "threads": "1"}


class H264Writer:
    """Writes frames to an MP4 file (H.264, no audio), each with its own timestamp.

    Args:
        path: Output file; ends in ``.mp4``.

    Attributes:
        frames_written: Number of frames written so far.

    Raises:
        FerError: The installed PyAV has no H.264 encoder.
    """

    def __init__(self, path: Path) -> None:
        # The index is moved to the start of the file, so that a browser can play before the download is done.
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._stream: VideoStream | None = None
        self._last_tick = -1
        self.frames_written = 0

    def write(self, image: np.ndarray, seconds: float) -> None:
        """Append a frame.

        Args:
            image: RGB, uint8 ``(H, W, 3)``; resized to the size of the first frame.
            seconds: Time at which the frame is shown; moved forward slightly if it does not increase.
        """
        if self._stream is None:
            self._stream = self._open_stream(image)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        self._last_tick = max(self._last_tick + 1, round(seconds * _TICKS))
        frame.pts, frame.time_base = self._last_tick, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        self.frames_written += 1

    def _open_stream(self, image: np.ndarray) -> VideoStream:
        height, width = image.shape[:2]
        scale = min(1.0, MAX_OUTPUT_SIDE / max(height, width))
        try:
            stream = self._container.add_stream("libx264", options=_CODEC_OPTIONS)
        except ValueError as error:
            raise FerError(
                "PyAV: expected an H.264 encoder (libx264), but the installed build has none. Install the "
                "wheel: pip install --force-reinstall --only-binary av av"
            ) from error
        # The pixel format needs even sides.
        stream.width, stream.height = (max(2, 2 * round(scale * side / 2)) for side in (width, height))
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    def __enter__(self) -> "H264Writer":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush the encoder and close the file; after an error, close it without flushing."""
        if error is None and self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
