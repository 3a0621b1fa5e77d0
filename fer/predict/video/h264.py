"""Write a video that browsers play: H.264 with sound, in MP4. Needs PyAV."""

import math
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from fer.core.errors import FerError
from fer.predict.video.sound import Sound

# Time base, the usual one for H.264.
_TICKS_PER_SECOND = 90_000
# As fast as face detection, without visible loss: 3 ms of one core for a frame of 640 x 480.
# Without B-frames, a frame of a variable rate lasts exactly until the next one.
_CODEC_OPTIONS = {"preset": "veryfast", "crf": "23", "bf": "0"}
# Frames that may be missing, as in `fer.predict.video.reader`, before the video counts as damaged.
_MISSING_FRAMES, _MISSING_FRACTION = 2, 0.02


class H264Writer(AbstractContextManager["H264Writer"]):
    """Writes frames to an MP4 file, each with its own timestamp; the index comes first (``faststart``).

    Args:
        path: Output file, ``.mp4``, ``.m4v``, ``.mov`` or ``.mkv``.
        fps: The last frame lasts one frame at this rate, unless the source says how long.
        source: Video whose sound is written; None: no sound.
        max_side: Longer side in pixels; larger frames are downscaled.
        max_seconds: No sound is written after this time.
        threads: CPU threads of the encoder; 0: all cores.

    Attributes:
        written: Number of frames written so far.
        sound: The sound of the source; None without a source.

    Raises:
        FerError: The file cannot be written, or the installed PyAV has no H.264 encoder.
    """

    def __init__(
        self,
        path: Path,
        fps: float = 25.0,
        source: Path | None = None,
        *,
        max_side: float = math.inf,
        max_seconds: float = math.inf,
        threads: int = 0,
    ) -> None:
        self.path, self.written = path, 0
        self.sound = Sound(source) if source is not None else None
        self._fps, self._max_side, self._max_seconds = fps, max_side, max_seconds
        self._options = _CODEC_OPTIONS | {"threads": str(threads)}
        self._container: Any = None
        self._stream: Any = None
        # Width and height of the video, and of the frames before they are padded to even sides.
        self._size = self._inner = (0, 0)
        self._last_tick = -1

    def write(self, image: np.ndarray, seconds: float) -> None:
        """Append a frame.

        Args:
            image: RGB, uint8 ``(H, W, 3)``; resized to the size of the first frame.
            seconds: Time at which the frame is shown; moved forward slightly if it does not increase.

        Raises:
            FerError: The file cannot be written.
        """
        try:
            if self._container is None:
                self._open(image)
            frame = av.VideoFrame.from_ndarray(self._fit(image), "rgb24").reformat(format="yuv420p")
            self._last_tick = max(self._last_tick + 1, round(seconds * _TICKS_PER_SECOND))
            frame.pts, frame.time_base = self._last_tick, Fraction(1, _TICKS_PER_SECOND)
            self._mux(self._stream.encode(frame), 1 / self._fps)
            if self.sound is not None:
                self.sound.write_until(min(seconds, self._max_seconds))
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self.written += 1

    def _open(self, image: np.ndarray) -> None:
        self._container = av.open(str(self.path.resolve()), "w", options={"movflags": "+faststart"})
        try:
            self._stream = self._container.add_stream("libx264", options=self._options)
        except ValueError as error:
            raise FerError(
                "PyAV: expected an H.264 encoder (libx264), but the installed build has none. Install the "
                "wheel: pip install --force-reinstall --only-binary av av"
            ) from error
        height, width = image.shape[:2]
        scale = min(1.0, self._max_side / max(height, width))
        self._inner = max(1, round(scale * width)), max(1, round(scale * height))
        # The pixel format needs even sides.
        self._size = self._inner[0] + self._inner[0] % 2, self._inner[1] + self._inner[1] % 2
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_SECOND)
        # Only declared: each frame has its own time.
        self._stream.codec_context.framerate = Fraction(self._fps).limit_denominator(1001)
        if self.sound is not None:
            self.sound.add_to(self._container)

    def _fit(self, image: np.ndarray) -> np.ndarray:
        """Return the image in the video's size; an odd side is padded by its last row or column."""
        if image.shape[1::-1] != self._inner:
            image = cv2.resize(image, self._inner, interpolation=cv2.INTER_AREA)
        right, below = self._size[0] - self._inner[0], self._size[1] - self._inner[1]
        if right or below:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(image)

    def _mux(self, packets: list[Any], seconds: float) -> None:
        for packet in packets:
            # Only that of the last frame counts: the others last until the next one.
            packet.duration = max(1, round(seconds * _TICKS_PER_SECOND))
            self._container.mux(packet)

    def finish(self) -> None:
        """Write the remaining frames and sound, and close the file.

        Raises:
            FerError: The file cannot be written.
        """
        if self._container is None:
            return
        try:
            last = self._last_duration()
            self._mux(self._stream.encode(None), last)
            if self.sound is not None:
                end = self._last_tick / _TICKS_PER_SECOND + last if self._is_damaged() else math.inf
                self.sound.write_until(min(end, self._max_seconds))
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        finally:
            self._forget()

    def _last_duration(self) -> float:
        """Return the duration of the last frame in seconds; at a variable rate it may be long."""
        usual, source = 1 / self._fps, self.sound
        if source is None or source.video_seconds is None or source.num_frames != self.written:
            return usual
        declared = source.video_seconds - self._last_tick / _TICKS_PER_SECOND
        return declared if declared > 0 else usual

    def _is_damaged(self) -> bool:
        """Return whether the source has more frames than were written: then the sound ends with them."""
        declared = self.sound.num_frames if self.sound is not None else 0
        return declared - self.written > max(_MISSING_FRAMES, _MISSING_FRACTION * declared)

    def close(self) -> None:
        """Close the file as it is, so that what was written can be played."""
        if self._container is None:
            return
        with suppress(av.FFmpegError, OSError):
            self._mux(self._stream.encode(None), 1 / self._fps)
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        self._forget()

    def _forget(self) -> None:
        self._container = None
        if self.sound is not None:
            self.sound.close()

    def _failure(self, error: Exception) -> FerError:
        reason = getattr(error, "strerror", None) or error
        return FerError(
            f"{self.path}: this video cannot be written ({reason}). Check that the folder exists and is "
            "writable, and that the disk is not full."
        )

    def __exit__(self, *error: object) -> None:
        """Finish the video; after an error, close it as it is."""
        if error[1] is None:
            self.finish()
        else:
            self.close()
