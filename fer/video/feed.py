"""Frames from a thread of their own, so that decoding and looking for faces go on at the same time."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from fer.errors import FerError
from fer.video.frames import Frame

_DEPTH = 4  # frames ahead; enough to even out, and 4K frames are 25 MB each
_GOODBYE = 2.0  # seconds that a camera may take to give its last picture


class Feed:
    """Frames, read ahead by a thread.

    Args:
        frames: Where they come from; iterated in the thread.
        newest: Give the newest frame only, and drop those that came meanwhile. Otherwise none is lost, and
            reading waits.
        patience: Seconds that the next frame may take; None waits for ever.

    Attributes:
        dropped: Frames that were never given out.
    """

    def __init__(self, frames: Iterable[Frame], newest: bool = False, patience: float | None = None) -> None:
        self.dropped = 0
        self._newest, self._patience = newest, patience
        self._waiting: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._over = self._closed = False
        self._error: Exception | None = None
        # A daemon: a camera that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._fill, args=(frames,), daemon=True)
        self._thread.start()

    def _fill(self, frames: Iterable[Frame]) -> None:
        try:
            for frame in frames:
                if not self._offer(frame):
                    break
        except Exception as error:
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _offer(self, frame: Frame) -> bool:
        with self._changed:
            if self._newest:
                self.dropped += len(self._waiting)
                self._waiting.clear()
            self._changed.wait_for(lambda: len(self._waiting) < _DEPTH or self._closed)
            self._waiting.append(frame)
            self._changed.notify_all()
            return not self._closed

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            FerError: None came in time, or reading failed; frames read before were given out.
        """
        while (frame := self._take()) is not None:
            yield frame
        if self._error is not None:
            raise self._error

    def _take(self) -> Frame | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._over, self._patience):
                raise FerError(f"No picture came for {self._patience:.0f} s. Is the camera still connected?")
            frame = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return frame

    def close(self) -> bool:
        """Stop reading; return whether the thread has ended, so that what it reads from may be closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_GOODBYE)
        return not self._thread.is_alive()
