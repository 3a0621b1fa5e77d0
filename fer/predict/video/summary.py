"""The summary of a video: what was processed, and for how long each face showed each emotion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fer.core.text import counted, percent
from fer.predict.predictor import Prediction
from fer.predict.video.reader import Frame

# Faces listed in the printed summary: those seen longest.
_MAX_LISTED = 5
# Faces whose emotions stay in memory; a camera that runs for days sees more.
_MAX_FACES_IN_MEMORY = 1000
# Duration of the only frame of a video, in seconds.
_SINGLE_FRAME = 0.04
# Emotions that a face showed for less than this part of its time are not listed.
_MIN_FRACTION = 0.01
# Seconds by emotion.
Durations = dict[str, float]


@dataclass
class Summary:
    """What was processed, and the emotions of each face.

    A frame counts until the next one, so that frames of different durations count as long as they are shown.

    Attributes:
        name: Name of the video or webcam.
        frames: Number of processed frames.
        dropped: Number of frames that were dropped to keep up with a camera.
        seconds: Time of the last processed frame.
        elapsed: Processing time in seconds.
        forgotten: Number of faces that were seen only briefly and are no longer in `faces`.
        max_gap: Longest time between two frames that counts, in seconds; a camera may pause for longer.
        last_duration: Duration of the last frame in seconds; None: as long as the one before.
        warning: Message if the video ends early (truncated or damaged); None if it is complete.
    """

    name: str
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    forgotten: int = 0
    max_gap: float = math.inf
    last_duration: float | None = None
    warning: str | None = None
    _durations: dict[int, Durations] = field(default_factory=dict)
    # Emotion of each face in the last frame, whose duration is not known yet.
    _last: dict[int, str] = field(default_factory=dict)
    _interval: float = 0.0

    def add(self, frame: Frame, faces: Sequence[tuple[int, Prediction]]) -> None:
        """Add a frame and its faces."""
        if self.frames:
            self._interval = max(0.0, frame.seconds - self.seconds)
            if self._interval > self.max_gap:
                self._interval = 0.0
            self._count(self._durations, self._interval or _SINGLE_FRAME)
        self._last = {number: emotion_text(prediction) for number, prediction in faces}
        self.frames, self.seconds = self.frames + 1, frame.seconds
        if len(self._durations) > 2 * _MAX_FACES_IN_MEMORY:
            self._forget(set(self._last))

    @property
    def faces(self) -> dict[int, Durations]:
        """Number of a face -> seconds by emotion; if there are many faces, those seen longest.

        Emotions are those of `emotion_text`.
        """
        faces = {number: dict(seconds) for number, seconds in self._durations.items()}
        self._count(faces, self.last_duration or self._interval or _SINGLE_FRAME)
        return faces

    def _count(self, faces: dict[int, Durations], interval: float) -> None:
        for number, emotion in self._last.items():
            seconds = faces.setdefault(number, {})
            seconds[emotion] = seconds.get(emotion, 0.0) + interval

    def _forget(self, present: set[int]) -> None:
        """Keep the present faces and those seen longest, so that memory does not grow with the video."""
        ranked = sorted(self._durations, key=lambda one: (one in present, sum(self._durations[one].values())))
        for number in ranked[:-_MAX_FACES_IN_MEMORY]:
            del self._durations[number]
            self.forgotten += 1

    def __str__(self) -> str:
        """Return a line for the video, and one for each of the faces seen longest."""
        return "\n".join([self._header(), *self._face_lines()])

    def _header(self) -> str:
        speed = self.frames / self.elapsed if self.elapsed > 0 else 0.0
        dropped = f", {self.dropped:,} more dropped to keep up" if self.dropped else ""
        processed = f"{counted(self.frames, 'frame')} in {self.elapsed:.1f} s ({speed:.1f} frames/s){dropped}"
        count = len(self.faces) + self.forgotten
        return f"{self.name}: {processed}, {counted(count, 'face') if count else 'no face found'}"

    def _face_lines(self) -> list[str]:
        faces = self.faces
        longest = sorted(faces, key=lambda number: -sum(faces[number].values()))[:_MAX_LISTED]
        lines = [f"  face {number}: {describe_durations(faces[number])}" for number in longest]
        others = len(faces) + self.forgotten - len(longest)
        return [*lines, f"  and {counted(others, 'more face')}, not seen for longer"] if others else lines


def emotion_text(prediction: Prediction) -> str:
    """Return the emotion of a prediction, e.g. ``fear``, or ``fear? (uncertain)``."""
    return f"{prediction.label}? (uncertain)" if prediction.uncertain else prediction.label


def describe_durations(durations: Durations) -> str:
    """Return e.g. ``happy 80 %, fear? (uncertain) 20 % of 9.0 s``: the three most frequent emotions."""
    total = sum(durations.values())
    ranked = sorted(durations.items(), key=lambda item: -item[1])[:3]
    parts = [f"{name} {percent(part / total, 0)}" for name, part in ranked if part >= _MIN_FRACTION * total]
    return f"{', '.join(parts)} of {total:.1f} s"
