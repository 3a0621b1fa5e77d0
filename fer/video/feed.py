"""Prefetch frames in a background thread, so that decoding and face detection run in parallel."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from fer.errors import FerError
from fer.video.frames import Frame

# Frames held in memory: enough to even out delays; a 4K frame takes 25 MB.
_DEPTH = 4
# Seconds that a camera may take for its last frame when it is closed.
_JOIN_TIMEOUT = 2.0


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
            self._changed.wait_for(lambda: len(self._queue) < _DEPTH or self._closed)
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
