"""Read the frames of a video file or webcam one at a time, with constant memory, and ahead in a thread."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.core.errors import FerError

# Frames per second, if a video does not say.
DEFAULT_FPS = 25.0
# A timestamp more than this many seconds after the previous one is damaged.
_MAX_GAP = 600.0
# Slow motion of phones reaches 480 frames per second; a larger value is the time base, not the frame rate.
MAX_FPS = 480.0
# A header may claim a few frames more than there are, because its duration is rounded.
_MISSING_FRAMES, _MISSING_FRACTION = 2, 0.02
_MJPEG = cv2.VideoWriter.fourcc(*"MJPG")
# Frames read ahead: enough to even out delays; a 4K frame takes 25 MB.
_QUEUE_LENGTH = 4
# Seconds that a camera may take for its last frame when it is closed.
_JOIN_TIMEOUT = 2.0

# Silence the messages of FFmpeg and OpenCV: ours name the file and say what to do.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class Frame:
    """An image and its time.

    Attributes:
        index: Counted from 0, including dropped frames.
        seconds: Time since the start.
        image: RGB, uint8 ``(H, W, 3)``, upright.
    """

    index: int
    seconds: float
    image: np.ndarray


class VideoFile:
    """A video file.

    Attributes:
        name: Name of the file.
        fps: Average frames per second; `DEFAULT_FPS` if the file does not say.
        frame_count: Number of frames according to the file, which may be wrong; None if it does not say.
        live: False.
        frames_read: Number of frames read so far.

    Raises:
        FerError: The file does not exist, is not a video, or its codec is not supported.
    """

    live = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name, self.frames_read, self._last = self.path.name, 0, 0.0
        self._capture = _open_file(self.path)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= MAX_FPS else DEFAULT_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if fps > MAX_FPS:
            # Both values are in ticks of the time base.
            count *= self.fps / fps
        self.frame_count = math.ceil(count) if 0 < count < 2**53 else None
        self._holds_jpegs = False
        self._first = self._decode()
        self._switch_to_jpegs()
        if self._first is None:
            raise FerError(f"{self.path}: {_undecodable(self._capture)}")
        self._start = self._clock()

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame once."""
        image, seconds, before = self._first, 0.0, 0.0
        self._first = None
        while image is not None:
            index, self.frames_read, self._last = self.frames_read, self.frames_read + 1, seconds
            yield Frame(index, seconds, image)
            image, before = self._decode(), seconds
            seconds = self._time_after(before)

    def _switch_to_jpegs(self) -> None:
        """Decode the JPEGs of Motion JPEG one by one, each in its own size.

        FFmpeg would scale frames to the size of the first one, and decodes none whose header claims a larger
        size. It still reads frames that are interlaced (two JPEGs each) or rotated.
        """
        codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        if codec != _MJPEG or self._capture.get(cv2.CAP_PROP_ORIENTATION_META):
            return
        undecoded = [cv2.CAP_PROP_FORMAT, -1]
        capture = cv2.VideoCapture(str(self.path.resolve()), cv2.CAP_FFMPEG, undecoded)
        image = _next_jpeg(capture)
        if image is None or (self._first is not None and self._first.shape != image.shape):
            capture.release()
            return
        self._capture.release()
        self._capture, self._first, self._holds_jpegs = capture, image, True

    def _decode(self) -> np.ndarray | None:
        if self._holds_jpegs:
            return _next_jpeg(self._capture)
        success, image = self._capture.read()
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if success else None

    def _time_after(self, before: float) -> float:
        """Return the time of the frame just decoded, from its timestamp: phones record at a variable rate.

        If the timestamp does not increase, or jumps ahead, the time follows from the frame rate.
        """
        seconds = self._clock() - self._start
        return seconds if before < seconds < before + _MAX_GAP else before + 1 / self.fps

    def _clock(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def last_duration(self) -> float:
        """Return, after all frames were read, how long the last one lasts in seconds."""
        usual = 1 / self.fps
        if self.frame_count is None or self.frames_read != self.frame_count:
            return usual
        declared = self.frame_count / self.fps - self._last
        return declared if declared > 0 else usual

    def truncation_message(self) -> str | None:
        """Return, after all frames were read, what is missing at the end; None if the video is complete.

        At a variable frame rate, the frame count of a file is its duration times its highest rate. So a video
        is truncated only if it has fewer frames and also ends too early.
        """
        if self.frame_count is None:
            return None
        tolerance = max(_MISSING_FRAMES, _MISSING_FRACTION * self.frame_count)
        duration, end = self.frame_count / self.fps, self._last + 1 / self.fps
        if self.frame_count - self.frames_read <= tolerance or duration - end <= tolerance / self.fps:
            return None
        return (
            f"{self.path}: expected about {duration:.1f} s, could read only {end:.1f} s "
            f"({self.frames_read:,} frames), which were processed. The file is truncated or damaged."
        )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class Webcam:
    """A camera, with the attributes of `VideoFile`. It yields frames until `close` or until it is unplugged.

    Raises:
        FerError: There is no such camera, or another program uses it.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, number: int) -> None:
        self.name = f"webcam {number}"
        self._number = number
        self._capture = _open_camera(number)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 120 else DEFAULT_FPS
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames of the camera.

        Raises:
            FerError: The camera stopped giving frames.
        """
        start, index = time.monotonic(), 0
        while not self._closed:
            success, image = self._capture.read()
            if not success:
                raise FerError(
                    f"{self.name}: expected a frame, got none. Check that the camera is connected."
                )
            yield Frame(index, time.monotonic() - start, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            index += 1

    def truncation_message(self) -> str | None:
        """Return None: a camera has no end."""
        return None

    def close(self) -> None:
        """Release the camera."""
        self._closed = True
        self._capture.release()


def open_source(source: str | Path) -> VideoFile | Webcam:
    """Open a video by its path, or a webcam by its number, counted from ``"0"``.

    A `Path` is always a file. A string of digits is a webcam; a file with such a name is ``./0``.

    Raises:
        FerError: It cannot be opened.
    """
    text = "" if isinstance(source, Path) else str(source)
    return Webcam(int(text)) if text.isascii() and text.isdigit() else VideoFile(source)


def _open_file(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a path that does not exist"
        raise FerError(f"{path}: expected a video, got {kind}. Check the path; 0 is the first webcam.")
    # An absolute path, because FFmpeg takes the part before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        reason = "an empty file" if path.stat().st_size == 0 else "a file that is not a video or is truncated"
        raise FerError(
            f"{path}: expected a video (MP4, MOV, AVI, MKV, WebM), got {reason}. Try it in a player; convert "
            "other formats with ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _next_jpeg(capture: cv2.VideoCapture) -> np.ndarray | None:
    """Return the next frame of Motion JPEG that can be decoded, RGB, uint8 ``(H, W, 3)``; None at the end."""
    while (packet := capture.read())[0]:
        # OpenCV raises an error for empty data and for sizes beyond its limit.
        with suppress(cv2.error):
            image = cv2.imdecode(packet[1], cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None:
                return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return None


def _undecodable(capture: cv2.VideoCapture) -> str:
    number = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    codec = number.to_bytes(4, "little").decode("latin-1")
    name = f" (codec {codec})" if codec.isprintable() and codec.strip() else ""
    return (
        f"expected a video, got one of which no frame can be decoded{name}. "
        "If it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
    )


def _open_camera(number: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        devices = sorted(str(device) for device in Path("/dev").glob("video*"))
        available = f"This system has {', '.join(devices)}." if devices else "This system has no camera."
        raise FerError(
            f"webcam {number}: cannot be opened. {available} Connect it, close other programs that use it, "
            "and allow access to it; a video is given by its path."
        )
    # Return the latest frame, not the oldest one in the buffer.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


class FramePrefetcher:
    """Frames, read ahead by a thread.

    Args:
        frames: Source of the frames; iterated in the thread.
        latest_only: Yield only the latest frame and drop older ones, for cameras. Otherwise no frame is
            dropped, and reading waits for the consumer.
        timeout: Seconds to wait for the next frame; None: no limit.

    Attributes:
        dropped: Number of frames that were dropped.
    """

    def __init__(
        self, frames: Iterable[Frame], latest_only: bool = False, timeout: float | None = None
    ) -> None:
        self.dropped = 0
        self._latest_only, self._timeout = latest_only, timeout
        self._queue: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._finished = self._closed = False
        self._error: Exception | None = None
        # A daemon thread, so that a camera that hangs cannot keep the program from exiting.
        self._thread = threading.Thread(target=self._fill, args=(frames,), daemon=True)
        self._thread.start()

    def _fill(self, frames: Iterable[Frame]) -> None:
        try:
            for frame in frames:
                if not self._put(frame):
                    break
        except Exception as error:
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        """Queue a frame; return False after `close`."""
        with self._changed:
            if self._latest_only:
                self.dropped += len(self._queue)
                self._queue.clear()
            self._changed.wait_for(lambda: len(self._queue) < _QUEUE_LENGTH or self._closed)
            self._queue.append(frame)
            self._changed.notify_all()
            return not self._closed

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            FerError: No frame came within the timeout, or reading failed; frames read before are yielded
                first.
        """
        while (frame := self._take()) is not None:
            yield frame
        if self._error is not None:
            raise self._error

    def _take(self) -> Frame | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._finished, self._timeout):
                raise FerError(
                    f"Camera: expected a frame, got none for {self._timeout:.0f} s. Check that it is "
                    "connected."
                )
            frame = self._queue.popleft() if self._queue else None
            self._changed.notify_all()
            return frame

    def close(self) -> bool:
        """Stop reading; return whether the thread has ended, so that its source may be closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_JOIN_TIMEOUT)
        return not self._thread.is_alive()
