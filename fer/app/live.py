"""Live prediction on a visitor's camera: face tracking, classification, annotation, summary, recording."""

import threading
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from fer.app.history import History
from fer.app.recording import Recording
from fer.app.resources import BusyError, Slot
from fer.app.settings import MAX_FACES_PER_FRAME
from fer.predict.annotate import draw
from fer.predict.predictor import Prediction, Predictor
from fer.predict.video.reader import Frame
from fer.predict.video.summary import Summary
from fer.predict.video.tracking import FaceTracker

# Length and step of the rolling chart.
HISTORY_SECONDS, STEP_SECONDS = 30.0, 0.5
# A longer gap between frames means that the camera was off; a shorter one, that it is slow.
_MAX_GAP_SECONDS = 2.0
# The frame rate is averaged over this time.
_RATE_SECONDS = 3.0
# The latency is the median over this number of frames.
_LATENCY_FRAMES = 30


@dataclass(frozen=True)
class SavedFrame:
    """A frame that the visitor saved.

    Attributes:
        image: The annotated frame, RGB, uint8 ``(H, W, 3)``.
        faces: Number and smoothed prediction of each of its faces.
    """

    image: np.ndarray
    faces: tuple[tuple[int, Prediction], ...]


@dataclass(frozen=True)
class LiveState:
    """State of a live session at one moment.

    Attributes:
        processed: Frames that were processed.
        dropped: Frames that were not processed, because the server was busy or newer frames had arrived.
        rate: Processed frames per second, over the last three seconds.
        latency: Milliseconds from the arrival of a frame until it is annotated: median of the last 30 frames.
        seconds: Time of the newest frame.
        faces: Number and smoothed prediction of each face in the newest frame.
        recent_faces: Numbers of the faces of the last 30 seconds, those seen longest first.
        recording: Whether predictions are being recorded.
        recorded_rows: Rows in the recording: one per face and frame.
        recording_full: Whether the recording has reached its maximal length.
        saved: The frame that the visitor saved, if any.
    """

    processed: int
    dropped: int
    rate: float
    latency: float
    seconds: float
    faces: tuple[tuple[int, Prediction], ...]
    recent_faces: tuple[int, ...]
    recording: bool
    recorded_rows: int
    recording_full: bool
    saved: SavedFrame | None


class LiveSession:
    """The camera session of one visitor. Thread-safe.

    A frame that arrives while another is processed is not queued: it is shown with the latest known boxes
    and counted as dropped. Other frames are shown with their own boxes, a few milliseconds late, so that the
    boxes match the faces.

    Args:
        predictor: Detects and classifies the faces; may be shared between sessions.
        compute_slot: Returns a context manager within which a frame may be computed, see
            `fer.app.resources.try_compute_slot`.
        smooth: Seconds over which the probabilities of a face are averaged, see
            `fer.predict.video.tracking.Smoother`.

    Attributes:
        bars: Draw the probability of every emotion beside the faces.
        points: Draw the landmarks: eyes, nose and mouth corners.
        mirror: Mirror the frames before prediction.
    """

    def __init__(self, predictor: Predictor, compute_slot: Slot, smooth: float = 0.5) -> None:
        self.bars, self.points, self.mirror = True, False, True
        self._compute_slot = compute_slot
        self._recording: Recording | None = None
        # Held while a frame is predicted.
        self._predict_lock = threading.Lock()
        # Guards the attributes below, the history and the recording; held only briefly.
        self._state_lock = threading.Lock()
        self._times: deque[float] = deque()
        self._dropped = 0
        self._seconds = 0.0
        self._latencies: deque[float] = deque(maxlen=_LATENCY_FRAMES)
        self._shown: SavedFrame | None = None
        self._saved: SavedFrame | None = None
        self._set_model(predictor)
        self._tracker.configure(smooth, predictor.card.uncertain_below)

    def _set_model(self, predictor: Predictor) -> None:
        self._predictor, self._tracker = predictor, FaceTracker()
        self._history = History(predictor.card.labels.names, STEP_SECONDS, HISTORY_SECONDS, _MAX_GAP_SECONDS)
        self._faces: tuple[tuple[int, Prediction], ...] = ()
        self._started_at: float | None = None
        self._summary = Summary("webcam", max_gap=_MAX_GAP_SECONDS)
        self._recording_on = False

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions of the model, in order."""
        return self._history.emotions

    def configure(self, predictor: Predictor, uncertain_below: float | None, smooth: float) -> None:
        """Set model, threshold and smoothing of the next frames; may be called at any time.

        Another model begins a new summary and chart and stops the recording, whose rows are kept.

        Args:
            predictor: Detects and classifies the faces.
            uncertain_below: A prediction with a lower confidence is uncertain; None: none is.
            smooth: Seconds over which the probabilities of a face are averaged.
        """
        with self._predict_lock:
            if predictor is not self._predictor:
                with self._state_lock:
                    self._set_model(predictor)
            self._tracker.configure(smooth, uncertain_below)

    def start(self) -> None:
        """Start a new summary, e.g. when the camera starts. Recording, chart and saved frame are kept."""
        with self._state_lock:
            self._dropped, self._started_at = 0, None
            self._summary = Summary("webcam", max_gap=_MAX_GAP_SECONDS)

    def process(self, frame: np.ndarray, seconds: float) -> np.ndarray:
        """Predict on a frame, unless another frame is being processed, and return it annotated.

        Args:
            frame: RGB, uint8 ``(H, W, 3)``.
            seconds: Time of the frame on a monotonic clock.

        Returns:
            The frame with the latest known boxes, uint8 ``(H, W, 3)``.
        """
        start = perf_counter()
        if self.mirror:
            frame = np.ascontiguousarray(frame[:, ::-1])
        if not self._predict_lock.acquire(blocking=False):
            self.count_dropped(1)
            return self._annotate(frame)
        try:
            predicted = self._predict(frame, seconds)
        finally:
            self._predict_lock.release()
        shown = self._annotate(frame)
        if predicted:
            self._latencies.append(1000 * (perf_counter() - start))
        return shown

    def _predict(self, frame: np.ndarray, seconds: float) -> bool:
        """Predict on a frame and update the state; return False if the server is busy."""
        try:
            with self._compute_slot():
                faces = self._predictor.detect(frame)[:MAX_FACES_PER_FRAME]
                predictions = self._predictor.classify(frame, faces)
        except BusyError:
            self.count_dropped(1)
            return False
        tracked = self._tracker.update(predictions, seconds)
        with self._state_lock:
            self._update_state(tracked, frame, seconds)
        return True

    def _update_state(
        self, faces: Sequence[tuple[int, Prediction]], frame: np.ndarray, seconds: float
    ) -> None:
        self._faces, self._seconds = tuple(faces), seconds
        if self._started_at is None:
            self._started_at = seconds
        self._summary.add(Frame(self._summary.frames, seconds - self._started_at, frame), faces)
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
        image = draw(frame, [prediction for _, prediction in faces], self.points, names, self.bars)
        with self._state_lock:
            self._shown = SavedFrame(image, faces)
        return image

    def count_dropped(self, frames: int) -> None:
        """Count frames that are not processed."""
        with self._state_lock:
            self._dropped += frames

    def state(self) -> LiveState:
        """Return the current state."""
        with self._state_lock:
            span = self._seconds - self._times[0] if self._times else 0.0
            return LiveState(
                processed=self._summary.frames,
                dropped=self._dropped,
                rate=(len(self._times) - 1) / span if span > 0 else 0.0,
                latency=median(self._latencies) if self._latencies else 0.0,
                seconds=self._seconds,
                faces=self._faces,
                recent_faces=tuple(self._history.faces()),
                recording=self._recording_on,
                recorded_rows=self._recording.rows if self._recording else 0,
                recording_full=self._recording is not None and self._recording.full,
                saved=self._saved,
            )

    def summary(self) -> Summary:
        """Return the summary since the camera was started last."""
        with self._state_lock:
            return deepcopy(self._summary)

    def save_frame(self) -> None:
        """Keep the annotated frame that is shown now; it replaces the one saved before."""
        with self._state_lock:
            self._saved = self._shown or self._saved

    def delete_saved_frame(self) -> None:
        """Delete the saved frame."""
        with self._state_lock:
            self._saved = None

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
