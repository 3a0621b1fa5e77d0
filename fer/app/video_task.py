"""A video that is analysed in the background, so that its visitor can look at other pages meanwhile."""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BytesIO

from fer.app.video import Slot, VideoAnalysis, VideoJob
from fer.core.errors import FerError
from fer.predict.predictor import Predictor

VideoSlot = Callable[[Callable[[], object]], AbstractContextManager[None]]
_LOG = logging.getLogger("fer.app")


class _AbandonedError(Exception):
    """The visitor has cancelled the analysis, or is gone."""


class VideoTask:
    """The analysis of a video in a thread.

    It ends early when it is cancelled, or when its session, which has the only reference to it, is deleted.

    Args:
        predictor: Detects and classifies the faces.
        compute_slot, video_slot: As in `fer.app.resources`.
        file_id: Identifier of the uploaded file.
        name: Its name; only displayed.
        content: The file.
        points, bars: As for `VideoJob`.

    Attributes:
        done: Number of frames done.
        total: Number of frames expected; None if unknown.
        first_frame: Time of the first frame (``time.monotonic``); None while the video waits for its turn.
        result: The analysis, or why there is none; None while the thread runs.
    """

    def __init__(
        self,
        predictor: Predictor,
        compute_slot: Slot,
        video_slot: VideoSlot,
        file_id: str,
        name: str,
        content: BytesIO,
        points: bool,
        bars: bool,
    ) -> None:
        self.file_id, self.name = file_id, name
        self.done = 0
        self.total: int | None = None
        self.first_frame: float | None = None
        self.result: VideoAnalysis | FerError | None = None
        self._is_cancelled = False
        reference = weakref.ref(self)

        def progress(done: int = 0, total: int | None = None) -> None:
            _update(reference, done, total)

        job = VideoJob(predictor, compute_slot, progress, points=points, bars=bars)
        self._thread = threading.Thread(
            target=_work, args=(reference, job, video_slot, progress, name, content), daemon=True
        )
        self._thread.start()

    def cancel(self) -> None:
        """End the thread after the current frame."""
        self._is_cancelled = True

    def wait(self, seconds: float) -> bool:
        """Wait until the thread has ended; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


def _update(reference: "weakref.ref[VideoTask]", done: int, total: int | None) -> None:
    """Store the progress; raise `_AbandonedError` if the task was cancelled or deleted."""
    task = reference()
    if task is None or task._is_cancelled:
        raise _AbandonedError
    if done:
        task.done, task.total = done, total
        task.first_frame = task.first_frame or time.monotonic()


def _work(
    reference: "weakref.ref[VideoTask]",
    job: VideoJob,
    video_slot: VideoSlot,
    progress: Callable[[], None],
    name: str,
    content: BytesIO,
) -> None:
    result: VideoAnalysis | FerError
    try:
        with video_slot(progress):
            progress()
            result = job.run(name, content)
    except _AbandonedError:
        return
    except FerError as error:
        result = error
    except Exception:
        _LOG.exception("The analysis of a video failed")
        result = FerError("An internal error occurred and was logged. Try again, or reload the page.")
    if (task := reference()) is not None:
        task.result = result
