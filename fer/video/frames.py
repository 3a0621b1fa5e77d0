"""Frames of a film or a webcam, one at a time: memory does not grow with the length of the film."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.errors import FerError

# FFmpeg's and OpenCV's own complaints stay off the screen: ours name the file and say what to do.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

USUAL_RATE = 25.0  # frames a second, where a film does not say
_LONGEST_GAP = 600.0  # seconds from one frame to the next; a clock that says more is damaged
_FASTEST = 480.0  # slow motion of phones; what claims more is a time base, not a frame rate
# A header may promise a frame or so more than there is, as its duration is rounded.
_ROUNDING_FRAMES, _ROUNDING_SHARE = 2, 0.02


@dataclass(frozen=True)
class Frame:
    """A picture and its time.

    Attributes:
        index: Counted from 0, frames that were never looked at included.
        seconds: Since the beginning.
        picture: RGB, uint8 ``(H, W, 3)``, upright.
    """

    index: int
    seconds: float
    picture: np.ndarray


class Film:
    """A video file.

    Attributes:
        name: Of the file.
        rate: Frames a second, on average; `USUAL_RATE` where the file does not say.
        count: Frames that the file says it has, which may be wrong; None where it does not say.
        live: False.
        read: Frames that were read so far.

    Raises:
        FerError: There is no such file, it is no film, or its codec cannot be decoded here.
    """

    live = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name, self.read, self._last = self.path.name, 0, 0.0
        self._capture = _open_file(self.path)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= _FASTEST else USUAL_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if rate > _FASTEST:  # the ticks of its clock, and their number
            count *= self.rate / rate
        self.count = math.ceil(count) if 0 < count < 2**53 else None
        self._first = self._decode()
        if self._first is None:
            raise FerError(f"{self.path}: {_undecodable(self._capture)}")
        self._start = self._clock()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, each once."""
        picture, seconds, before = self._first, 0.0, 0.0
        self._first = None
        while picture is not None:
            index, self.read, self._last = self.read, self.read + 1, seconds
            yield Frame(index, seconds, picture)
            picture, before = self._decode(), seconds
            seconds = self._time_after(before)

    def _decode(self) -> np.ndarray | None:
        there, picture = self._capture.read()
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if there else None

    def _time_after(self, before: float) -> float:
        """Return the time of the frame just decoded: phones film at a rate that varies.

        A film whose clock stands still, runs backwards or leaps ahead is timed by its rate.
        """
        seconds = self._clock() - self._start
        return seconds if before < seconds < before + _LONGEST_GAP else before + 1 / self.rate

    def _clock(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def shortfall(self) -> str | None:
        """Say what is missing, once all frames were read; None where the film was whole.

        Where the rate varies, the number of frames that a file claims is its length times its highest rate:
        only a film that ends too early as well was cut off.
        """
        if self.count is None:
            return None
        allowed = max(_ROUNDING_FRAMES, _ROUNDING_SHARE * self.count)
        length, end = self.count / self.rate, self._last + 1 / self.rate
        if self.count - self.read <= allowed or length - end <= allowed / self.rate:
            return None
        return (
            f"{self.path}: ends in the middle: expected about {length:.1f} s, could read {end:.1f} s "
            f"({self.read:,} frames). These were done; the file looks cut off or damaged."
        )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class Webcam:
    """A camera; attributes as of `Film`. Frames come until `close`, or until it is pulled out.

    Raises:
        FerError: There is no such camera, or another program uses it.
    """

    live = True
    count: int | None = None

    def __init__(self, number: int) -> None:
        self.name = f"webcam {number}"
        self._number = number
        self._capture = _open_camera(number)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 120 else USUAL_RATE
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield what the camera sees.

        Raises:
            FerError: It stopped giving pictures.
        """
        start, index = time.monotonic(), 0
        while not self._closed:
            there, picture = self._capture.read()
            if not there:
                raise FerError(f"{self.name}: gives no picture any more. Was it pulled out?")
            yield Frame(index, time.monotonic() - start, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            index += 1

    def shortfall(self) -> str | None:
        """Return None: a camera has no end that could be missed."""
        return None

    def close(self) -> None:
        """Switch the camera off."""
        self._closed = True
        self._capture.release()


def open_source(source: str | Path) -> Film | Webcam:
    """Open a film by its path, or a webcam by its number, ``"0"`` being the first.

    A `Path` is always a file; a text that is a number is a webcam, and a file of that name ``./0``.

    Raises:
        FerError: It cannot be opened.
    """
    text = "" if isinstance(source, Path) else str(source)
    return Webcam(int(text)) if text.isascii() and text.isdigit() else Film(source)


def _open_file(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise FerError(f"{path}: expected a film, found {what}. Check the path; 0 is the first webcam.")
    # The absolute path: FFmpeg would take the part before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        reason = "is empty" if path.stat().st_size == 0 else "is no film, is damaged, or lacks its end"
        raise FerError(
            f"{path}: expected a film (MP4, MOV, AVI, MKV, WebM), but the file {reason}. "
            "Try it in a player; an intact one of another kind: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _undecodable(capture: cv2.VideoCapture) -> str:
    number = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    codec = number.to_bytes(4, "little").decode("latin-1")
    named = f" (codec {codec})" if codec.isprintable() and codec.strip() else ""
    return (
        f"opened, but no frame of it can be decoded{named}. "
        "If it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
    )


def _open_camera(number: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        devices = sorted(str(device) for device in Path("/dev").glob("video*"))
        seen = f"This system shows {', '.join(devices)}." if devices else "This system shows no camera."
        raise FerError(
            f"webcam {number}: cannot be opened. {seen} Connect it, close other programs that use it, and "
            "allow this one to; a film is given by its path."
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest that waits
    return capture
