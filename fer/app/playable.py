"""An annotated film that browsers play. OpenCV's wheel can write none such; PyAV's can."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.stream import VideoStream

from fer.errors import FerError

LONGEST_SIDE = 1280  # pixels; a larger film is made smaller
_TICKS = 90_000  # a second, as is usual for H.264
# As fast as the faces are found, and no visible loss: a frame of 640 x 480 takes 3 ms of one core.
_OPTIONS = {"preset": "veryfast", "crf": "23", "threads": "1"}


class PlayableFilm:
    """Writes pictures to an MP4 of H.264, without sound. Each is shown at its own time.

    Args:
        path: Where to; ends in ``.mp4``.

    Attributes:
        written: Frames in the film.

    Raises:
        FerError: The PyAV installed has no H.264.
    """

    def __init__(self, path: Path) -> None:
        # The table of contents first: a player can begin before it has read all.
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._stream: VideoStream | None = None
        self._last = -1
        self.written = 0

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Add a picture, RGB, uint8 ``(H, W, 3)``, to be shown from this second on.

        One of another size than the first is resized; a time that does not grow is moved on a little.
        """
        if self._stream is None:
            self._stream = self._begin(picture)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        self._last = max(self._last + 1, round(seconds * _TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        self.written += 1

    def _begin(self, picture: np.ndarray) -> VideoStream:
        height, width = picture.shape[:2]
        smaller = min(1.0, LONGEST_SIDE / max(height, width))
        try:
            stream = self._container.add_stream("libx264", options=_OPTIONS)
        except ValueError as error:  # a PyAV that was built without it
            raise FerError(
                "An annotated film needs H.264, and the PyAV installed here cannot write it. "
                "The wheel of PyAV can: pip install --force-reinstall --only-binary av av"
            ) from error
        stream.width, stream.height = (max(2, 2 * round(smaller * side / 2)) for side in (width, height))
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    def __enter__(self) -> "PlayableFilm":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the film; after an error what is there is not made whole."""
        if error is None and self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
