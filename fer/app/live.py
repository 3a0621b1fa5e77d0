"""Live prediction on a visitor's camera: WebRTC, face tracking, classification, annotation, recording."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
from streamlit_webrtc import VideoProcessorBase

from fer.app.history import History
from fer.app.resources import BusyError, Slot
from fer.app.settings import MAX_FACES_PER_FRAME
from fer.predict.annotate import draw
from fer.predict.predictor import Prediction, Predictor
from fer.predict.video.timeline import csv_header, csv_lines, to_row
from fer.predict.video.tracking import FaceTracker

# Length and step of the rolling chart.
HISTORY_SECONDS, STEP_SECONDS = 30.0, 0.5
# A longer gap between frames means that the camera was off; a shorter one, that it is slow.
_MAX_GAP_SECONDS = 2.0
# The frame rate is averaged over this time.
_RATE_SECONDS = 3.0
# Requested from the browser. Larger frames do not improve detection at webcam distance, and take longer to
# send.
MEDIA_CONSTRAINTS: dict[str, Any] = {
    "video": {
        "width": {"ideal": 640},
        "height": {"ideal": 480},
        "frameRate": {"ideal": 20, "max": 30},
        "facingMode": "user",
    },
    "audio": False,
}
_LOG = logging.getLogger("fer.app")
# Limit of a recording, with one row per face and frame: 20 minutes of one face at 30 frames per second, 5 MB.
MAX_ROWS = 36_000


@dataclass(frozen=True)
class Snapshot:
    """State of a live session at one moment.

    Attributes:
        processed: Frames that were processed.
        dropped: Frames that were not processed, because the server was busy or newer frames had arrived.
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
        self._predictor, self._compute_slot = predictor, compute_slot
        self._tracker = FaceTracker(smooth, predictor.card.uncertain_below)
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


class Recording:
    """A timeline as CSV in memory, with a maximal number of rows.

    Args:
        emotions: In the order of the columns.
        max_rows: Rows after which the recording is full.

    Attributes:
        rows: Number of rows so far.
    """

    def __init__(self, emotions: Sequence[str], max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._parts = [csv_header(emotions)]
        self._start: float | None = None
        self._frames = self.rows = 0

    @property
    def full(self) -> bool:
        """Whether the maximal number of rows is reached."""
        return self.rows >= self._max_rows

    def add(self, faces: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        """Add a frame; times in the CSV are relative to the first frame.

        Args:
            faces: Number and prediction of each face.
            seconds: Time of the frame.
        """
        if self.full:
            return
        if self._start is None:
            self._start = seconds
        elapsed = seconds - self._start
        rows = [to_row(self._frames, elapsed, number, prediction) for number, prediction in faces]
        rows = rows[: self._max_rows - self.rows]
        self._frames, self.rows = self._frames + 1, self.rows + len(rows)
        self._parts.append(csv_lines(rows))

    def to_csv(self) -> str:
        """Return the recording; see `fer.predict.video.timeline` for the columns."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]


class CameraProcessor(VideoProcessorBase):
    """Passes the newest camera frame to a `LiveSession`.

    Attributes:
        failed: Whether prediction failed on the last frame; that frame is shown unchanged.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self.failed = False

    async def recv_queued(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Process the newest of the frames received since the last call; drop the others."""
        self._live.count_dropped(len(frames) - 1)
        return [self.recv(frames[-1])]

    def recv(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame with its faces annotated."""
        # Every exception is caught: an uncaught one would end the stream without a message.
        try:
            image = self._live.process(frame.to_ndarray(format="rgb24"), time.monotonic())
        except Exception:
            if not self.failed:
                _LOG.exception("A camera frame could not be processed")
            self.failed = True
            return frame
        self.failed = False
        return av.VideoFrame.from_ndarray(image, format="rgb24")


def ice_servers(addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Return STUN and TURN servers as ``RTCIceServer`` dictionaries.

    None are needed if the browser reaches the server directly, e.g. on the same computer.

    Args:
        addresses: ``stun:HOST:PORT``, ``turn:USER:PASSWORD@HOST:PORT`` or ``turns:…``. Special characters in
            the user name and password may be percent-encoded.
    """
    return [_ice_server(address) for address in addresses]


def _ice_server(address: str) -> dict[str, Any]:
    scheme, _, rest = address.partition(":")
    credentials, separator, host = rest.rpartition("@")
    if not separator:
        return {"urls": [address]}
    user, _, password = credentials.partition(":")
    return {"urls": [f"{scheme}:{host}"], "username": unquote(user), "credential": unquote(password)}
