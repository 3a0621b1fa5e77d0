"""Live pictures of a camera: faces followed, judged and drawn in, as many frames as there is time for."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from fer.annotate import draw
from fer.app.history import History
from fer.app.limits import MAX_FACES
from fer.app.recording import Recording
from fer.predict import Predictor
from fer.prediction import Prediction
from fer.video.follow import Follower

SPAN, STEP = 30.0, 0.5  # seconds of the rolling time line, and of one of its points
_PAUSE = 2.0  # seconds without a frame after which the camera was off, and is not just slow
_RATE_OVER = 3.0  # seconds over which frames a second are counted
Turn = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Snapshot:
    """What a session sees at this moment.

    Attributes:
        frames: That were looked at.
        dropped: That were not, because newer ones had come.
        rate: Frames looked at a second, over the last three seconds.
        seconds: Time of the newest frame.
        faces: Number and steadied answer of each face of the newest frame.
        known: Numbers of the faces of the last half minute, those seen longest first.
        recording: Whether answers are recorded now.
        recorded: Faces in the recording, that is rows of its CSV.
        full: Whether the recording has reached its bound.
    """

    frames: int
    dropped: int
    rate: float
    seconds: float
    faces: tuple[tuple[int, Prediction], ...]
    known: tuple[int, ...]
    recording: bool
    recorded: int
    full: bool


class BusyError(Exception):
    """No processor is free just now, and the next frame will do as well."""


class LiveSession:
    """The camera of one visitor. Safe to use from several threads.

    A frame that comes while another is looked at is not queued: it is shown with the boxes known last, and
    counts as dropped. Otherwise each frame is shown with its own boxes, a few milliseconds late, so that
    boxes sit on the faces.

    Args:
        predictor: Finds and judges the faces; may be shared.
        turn: Gives a context within which the processor may be used; see `fer.app.serving.prompt_turn`.
        smooth: Seconds over which the answers of a face are averaged, see `fer.video.smoothing.Smoother`.

    Attributes:
        bars: Draw the probability of every emotion beside the faces.
        points: Draw eyes, nose and corners of the mouth.
        mirror: Show and judge the picture as in a mirror.
    """

    def __init__(self, predictor: Predictor, turn: Turn, smooth: float = 0.5) -> None:
        self.bars, self.points, self.mirror = True, False, True
        self._predictor, self._turn = predictor, turn
        self._follower = Follower(smooth, predictor.card.abstain_below)
        self._history = History(predictor.card.labels.names, STEP, SPAN, _PAUSE)
        self._recording: Recording | None = None
        self._recording_on = False
        self._looking = threading.Lock()  # held by who looks at a frame
        self._state = threading.Lock()  # held for moments, by who reads or writes what follows
        self._faces: tuple[tuple[int, Prediction], ...] = ()
        self._times: deque[float] = deque()
        self._frames = self._dropped = 0
        self._seconds = 0.0

    def process(self, frame: np.ndarray, seconds: float) -> np.ndarray:
        """Look at a frame, unless one is being looked at.

        Args:
            frame: RGB, uint8 ``(H, W, 3)``.
            seconds: Its time, on a clock that never goes back.

        Returns:
            The frame with what is known of its faces, uint8 ``(H, W, 3)``.
        """
        if self.mirror:
            frame = np.ascontiguousarray(frame[:, ::-1])
        if self._looking.acquire(blocking=False):
            try:
                self._look(frame, seconds)
            finally:
                self._looking.release()
        else:
            self.drop(1)
        return self._draw(frame)

    def _look(self, frame: np.ndarray, seconds: float) -> None:
        try:
            with self._turn():
                answers = self._predictor.classify(frame, self._predictor.find(frame)[:MAX_FACES])
        except BusyError:
            return self.drop(1)
        seen = self._follower.update(answers, seconds)
        with self._state:
            self._keep(seen, seconds)

    def _keep(self, seen: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        self._faces, self._seconds = tuple(seen), seconds
        self._frames += 1
        self._times.append(seconds)
        while seconds - self._times[0] > _RATE_OVER:
            self._times.popleft()
        self._history.add(seen, seconds)
        if self._recording is not None and self._recording_on:
            self._recording.add(seen, seconds)
            self._recording_on = not self._recording.full

    def _draw(self, frame: np.ndarray) -> np.ndarray:
        with self._state:
            faces = self._faces
        names = [f"#{number}" for number, _ in faces]
        return draw(frame, [answer for _, answer in faces], self.points, names, self.bars)

    def drop(self, frames: int) -> None:
        """Count frames that are never looked at."""
        with self._state:
            self._dropped += frames

    def snapshot(self) -> Snapshot:
        """Return what is seen now; boxes are as `process` shows them."""
        with self._state:
            span = self._seconds - self._times[0] if self._times else 0.0
            return Snapshot(
                frames=self._frames,
                dropped=self._dropped,
                rate=(len(self._times) - 1) / span if span > 0 else 0.0,
                seconds=self._seconds,
                faces=self._faces,
                known=tuple(self._history.faces()),
                recording=self._recording_on,
                recorded=self._recording.rows if self._recording else 0,
                full=self._recording is not None and self._recording.full,
            )

    def shares(self, face: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what a face showed in the last half minute.

        Args:
            face: Its number.

        Returns:
            Seconds before the newest frame, -30 to 0, float ``(T,)``, and mean probabilities of the model's
            emotions, float ``(T, K)``, NaN where the face was not seen.
        """
        with self._state:
            times, probs = self._history.shares(face)
            return np.minimum(times - self._seconds, 0.0), probs

    def start_recording(self) -> None:
        """Record answers from now on; an earlier recording is dropped."""
        with self._state:
            self._recording, self._recording_on = Recording(self._history.emotions), True

    def stop_recording(self) -> None:
        """Record no more; what was recorded is kept until the next recording starts."""
        with self._state:
            self._recording_on = False

    def csv(self) -> str:
        """Return what was recorded: a row a face and frame, see `fer.video.timeline`."""
        with self._state:
            return self._recording.to_csv() if self._recording else ""
