"""A video that is analysed in the background, so that its visitor can look at other pages meanwhile."""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from fer.app.resources import Slot
from fer.app.video import Look, VideoAnalysis, VideoJob
from fer.core.errors import FerError
from fer.predict.predictor import Predictor

VideoSlot = Callable[[Callable[[], object]], AbstractContextManager[None]]
_LOG = logging.getLogger("fer.app")


class _AbandonedError(Exception):
    """The visitor has cancelled the analysis, or is gone."""


@dataclass(frozen=True)
class VideoSettings:
    """A video and what is computed of it.

    Attributes:
        file_id: Identifier of the file.
        model: Reference of the model's `Version`.
        detector: Name of the face detector; None: the app's.
        look: Settings that need neither detection nor the model again.
    """

    file_id: str
    model: str | None
    detector: str | None
    look: Look

    def has_same_faces(self, other: "VideoSettings | None") -> bool:
        """Return whether the faces and the probabilities of each frame are those of other settings."""
        return other is not None and replace(other, look=self.look) == self


class VideoTask:
    """The analysis of a video in a thread.

    It ends early when it is cancelled, or when its session, which has the only reference to it, is deleted.

    Args:
        predictor: Detects and classifies the faces.
        compute_slot, video_slot: As in `fer.app.resources`.
        settings: The video, and what to compute.
        name: Name of the file; only displayed.
        content: The file.
        earlier: An analysis with the same faces, whose copy is written again with the look of the settings.

    Attributes:
        settings: As given.
        is_copy: Whether only the annotated copy is written again.
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
        settings: VideoSettings,
        name: str,
        content: bytes,
        earlier: VideoAnalysis | None = None,
    ) -> None:
        self.settings, self.is_copy = settings, earlier is not None
        self.done = 0
        self.total: int | None = None
        self.first_frame: float | None = None
        self.result: VideoAnalysis | FerError | None = None
        self._is_cancelled = False
        reference = weakref.ref(self)

        def progress(done: int = 0, total: int | None = None) -> None:
            _update(reference, done, total)

        job = VideoJob(predictor, compute_slot, progress, settings.look)
        run = partial(job.run, name, content, earlier)
        self._thread = threading.Thread(
            target=_work, args=(reference, run, video_slot, progress), daemon=True
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
    run: Callable[[], VideoAnalysis],
    video_slot: VideoSlot,
    progress: Callable[[], None],
) -> None:
    result: VideoAnalysis | FerError
    try:
        with video_slot(progress):
            progress()
            result = run()
    except _AbandonedError:
        return
    except FerError as error:
        result = error
    except Exception:
        _LOG.exception("The analysis of a video failed")
        result = FerError("An internal error occurred and was logged. Try again, or reload the page.")
    if (task := reference()) is not None:
        task.result = result
