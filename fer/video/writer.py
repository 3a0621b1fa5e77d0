"""An annotated film, which has its name only when it is whole."""

import sys
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from fer.errors import FerError

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi")
_CODEC = cv2.VideoWriter.fourcc(*"mp4v")  # MPEG-4 part 2: OpenCV's wheel can write no H.264
_SMALLEST = 16  # pixels a side; the codec takes no less


class FilmWriter:
    """Writes pictures to a film, without sound.

    Pictures are repeated or left out, so that each is shown at its time: a camera's come unevenly, and so do
    those of a phone's film. They go to ``NAME.part.mp4``, which takes the name asked for at the end. After an
    error the part is kept, and it can be played.

    Args:
        path: Where to; an earlier film there is replaced when the new one is whole.
        rate: Frames a second.

    Attributes:
        written: Frames in the film.

    Raises:
        FerError: The suffix is no film's, or the folder cannot be made.
    """

    def __init__(self, path: str | Path, rate: float) -> None:
        self.path = check_film_suffix(Path(path))
        self.part = part_of(self.path)
        self.written = 0
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._last = np.empty(0, np.uint8)  # what was written last, to be shown until the next one's time

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Add a picture, RGB, uint8 ``(H, W, 3)``; one of another size than the first is resized.

        Args:
            picture: What to add.
            seconds: Its time since the beginning.

        Raises:
            FerError: The film cannot be begun.
        """
        if self._writer is None:
            self._begin(picture)
        assert self._writer is not None
        place = round(seconds * self._rate)
        if place < self.written:
            return  # that frame is filled: a picture that came right after another is left out
        ready = self._fit(picture)
        for shown in [*[self._last if self.written else ready] * (place - self.written), ready]:
            self._writer.write(shown)
        self.written, self._last = place + 1, ready

    def _begin(self, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        self._size = (max(_SMALLEST, width + width % 2), max(_SMALLEST, height + height % 2))
        for rate in (self._rate, round(self._rate)):  # the codec cannot tell every fraction
            whole = str(self.part.resolve())  # FFmpeg takes what stands before a colon for a protocol
            self._writer = cv2.VideoWriter(whole, cv2.CAP_FFMPEG, _CODEC, rate, self._size)
            if self._writer.isOpened():
                self._rate = rate
                return
        self._writer = None
        raise FerError(
            f"{self.part}: this film of {self._size[0]} x {self._size[1]} pixels cannot be begun. "
            "Is the folder there and writable, and is there room on the disk?"
        )

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        """Return BGR of the film's size; an odd side is made even by doubling its last row or column."""
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        below, right = self._size[1] - picture.shape[0], self._size[0] - picture.shape[1]
        if (right, below) == (0, 0):
            return picture
        if 0 <= right < _SMALLEST and 0 <= below < _SMALLEST:
            return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)

    def finish(self) -> None:
        """Close the film and give it its name.

        Raises:
            FerError: It did not reach the disk whole.
        """
        if self._writer is None:
            return
        self._close()
        found = _count(self.part)
        if found < self.written:
            raise FerError(
                f"{self.part}: expected {self.written:,} frames, found {found:,} on disk. "
                "Is the disk full? What is there is kept."
            )
        try:
            self.part.replace(self.path)
        except OSError as error:
            raise FerError(
                f"{self.path}: the film cannot get this name ({error.strerror}). It is kept as {self.part}."
            ) from error

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.release()
        self._writer = None

    def __enter__(self) -> "FilmWriter":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the film; after an error close its part, and say where it is."""
        if error is None:
            self.finish()
        elif self._writer is not None:
            self._close()
            print(f"{self.part}: the {self.written:,} frames that were done are kept here.", file=sys.stderr)


def part_of(path: Path) -> Path:
    """Return what a film is called while it is written."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def check_film_suffix(path: Path) -> Path:
    """Return the path of a film to be written.

    Raises:
        FerError: Its suffix is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise FerError(
            f"{path}: expected an annotated film named {known}, got {path.suffix or 'no suffix'!r}."
        )
    return path


def _count(path: Path) -> int:
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
