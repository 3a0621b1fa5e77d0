"""Live prediction on a visitor's camera: face tracking, classification, annotation, recording."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from fer.annotate import draw
from fer.app.history import History
from fer.app.limits import MAX_FACES_PER_FRAME
from fer.app.recording import Recording
from fer.predict import Predictor
from fer.prediction import Prediction
from fer.video.follow import FaceTracker

# Length and step of the rolling chart.
HISTORY_SECONDS, STEP_SECONDS = 30.0, 0.5
# A longer gap between frames means that the camera was off; a shorter one, that it is slow.
_MAX_GAP_SECONDS = 2.0
# The frame rate is averaged over this time.
_RATE_SECONDS = 3.0
Slot = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Snapshot:
    """State of a live session at one moment.

    Attributes:
        processed: Frames that were processed.
        dropped: Frames that were not, because newer ones had arrived.
        rate: Processed frames per second, over the last three seconds.
        seconds: Time of the newest frame.
        faces: Number and smoothed prediction of each face in the newest frame.
        recent_faces: Numbers of the faces of the last 30 seconds, those seen longest first.
        recording: Whether predictions are being recorded.
        recorded_rows: Rows in the recording: one per face and frame.
        recording_full: Whether the recording has reached its maximal length.
    """

    processed: int
    dropped: int
    rate: float
    seconds: float
    faces: tuple[tuple[int, Prediction], ...]
    recent_faces: tuple[int, ...]
    recording: bool
    recorded_rows: int
    recording_full: bool


class BusyError(Exception):
    """No compute slot is free; the frame is dropped."""


class LiveSession:
    """The camera session of one visitor. Thread-safe.

    A frame that arrives while another is processed is not queued: it is shown with the latest known boxes
    and counted as dropped. Other frames are shown with their own boxes, a few milliseconds late, so that the
    boxes match the faces.

    Args:
        predictor: Detects and classifies the faces; may be shared between sessions.
        compute_slot: Returns a context manager within which a frame may be computed, see
            `fer.app.serving.try_compute_slot`.
        smooth: Seconds over which the probabilities of a face are averaged, see
            `fer.video.smoothing.Smoother`.

    Attributes:
        bars: Draw the probability of every emotion beside the faces.
        points: Draw the landmarks: eyes, nose and mouth corners.
        mirror: Mirror the frames before prediction.
    """

    def __init__(self, predictor: Predictor, compute_slot: Slot, smooth: float = 0.5) -> None:
        self.bars, self.points, self.mirror = True, False, True
        self._predictor, self._compute_slot = predictor, compute_slot
        self._tracker = FaceTracker(smooth, predictor.card.abstain_below)
        self._history = History(predictor.card.labels.names, STEP_SECONDS, HISTORY_SECONDS, _MAX_GAP_SECONDS)
        self._recording: Recording | None = None
        self._recording_on = False
        # Held while a frame is predicted.
        self._predict_lock = threading.Lock()
        # Guards the attributes below, the history and the recording; held only briefly.
        self._state_lock = threading.Lock()
        self._faces: tuple[tuple[int, Prediction], ...] = ()
        self._times: deque[float] = deque()
        self._processed = self._dropped = 0
        self._seconds = 0.0

    def process(self, frame: np.ndarray, seconds: float) -> np.ndarray:
        """Predict on a frame, unless another frame is being processed, and return it annotated.

        Args:
            frame: RGB, uint8 ``(H, W, 3)``.
            seconds: Time of the frame on a monotonic clock.

        Returns:
            The frame with the latest known boxes, uint8 ``(H, W, 3)``.
        """
        if self.mirror:
            frame = np.ascontiguousarray(frame[:, ::-1])
        if self._predict_lock.acquire(blocking=False):
            try:
                self._predict(frame, seconds)
            finally:
                self._predict_lock.release()
        else:
            self.count_dropped(1)
        return self._annotate(frame)

    def _predict(self, frame: np.ndarray, seconds: float) -> None:
        try:
            with self._compute_slot():
                faces = self._predictor.detect(frame)[:MAX_FACES_PER_FRAME]
                predictions = self._predictor.classify(frame, faces)
        except BusyError:
            return self.count_dropped(1)
        tracked = self._tracker.update(predictions, seconds)
        with self._state_lock:
            self._update_state(tracked, seconds)

    def _update_state(self, faces: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        self._faces, self._seconds = tuple(faces), seconds
        self._processed += 1
        self._times.append(seconds)
        while seconds - self._times[0] > _RATE_SECONDS:
            self._times.popleft()
        self._history.add(faces, seconds)
        if self._recording is not None and self._recording_on:
            self._recording.add(faces, seconds)
            self._recording_on = not self._recording.full

    def _annotate(self, frame: np.ndarray) -> np.ndarray:
        with self._state_lock:
            faces = self._faces
        names = [f"#{number}" for number, _ in faces]
        return draw(frame, [prediction for _, prediction in faces], self.points, names, self.bars)

    def count_dropped(self, frames: int) -> None:
        """Count frames that are not processed."""
        with self._state_lock:
            self._dropped += frames

    def snapshot(self) -> Snapshot:
        """Return the current state."""
        with self._state_lock:
            span = self._seconds - self._times[0] if self._times else 0.0
            return Snapshot(
                processed=self._processed,
                dropped=self._dropped,
                rate=(len(self._times) - 1) / span if span > 0 else 0.0,
                seconds=self._seconds,
                faces=self._faces,
                recent_faces=tuple(self._history.faces()),
                recording=self._recording_on,
                recorded_rows=self._recording.rows if self._recording else 0,
                recording_full=self._recording is not None and self._recording.full,
            )

    def recent_probabilities(self, face: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean probabilities of a face in the last 30 seconds.

        Args:
            face: Its number.

        Returns:
            Seconds relative to the newest frame, -30 to 0, float ``(T,)``, and mean probabilities, float
            ``(T, K)``, NaN where the face was not seen.
        """
        with self._state_lock:
            times, probabilities = self._history.probabilities(face)
            return np.minimum(times - self._seconds, 0.0), probabilities

    def start_recording(self) -> None:
        """Start a new recording; an earlier one is discarded."""
        with self._state_lock:
            self._recording, self._recording_on = Recording(self._history.emotions), True

    def stop_recording(self) -> None:
        """Stop recording; the recording is kept until the next one starts."""
        with self._state_lock:
            self._recording_on = False

    def to_csv(self) -> str:
        """Return the recording as CSV, a row per face and frame; empty if there is none."""
        with self._state_lock:
            return self._recording.to_csv() if self._recording else ""
