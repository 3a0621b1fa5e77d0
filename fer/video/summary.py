"""The summary of a processed video: frames, speed, and the emotions of each face."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fer.predict import Prediction
from fer.video.frames import Frame

# Faces listed in the printed summary: those seen longest.
_MAX_LISTED = 5
# Faces whose emotions are kept in memory; a camera that runs for days sees more.
_MAX_KEPT = 1000


@dataclass
class Summary:
    """What was processed, and the emotions of each face.

    Attributes:
        name: Name of the video or webcam.
        frames: Number of processed frames.
        dropped: Number of frames that were dropped to keep up with a camera.
        seconds: Time of the last processed frame.
        elapsed: Processing time in seconds.
        faces: Number of a face -> count of frames by emotion; if there are many faces, those seen longest.
        forgotten: Number of faces that were seen only briefly and are no longer in ``faces``.
        warning: Message if the video ends early (truncated or damaged); None if it is complete.
    """

    name: str
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    faces: dict[int, Counter[str]] = field(default_factory=dict)
    forgotten: int = 0
    warning: str | None = None

    def add(self, frame: Frame, faces: Sequence[tuple[int, Prediction]]) -> None:
        """Count a frame and its faces."""
        self.frames, self.seconds = self.frames + 1, frame.seconds
        for number, prediction in faces:
            self.faces.setdefault(number, Counter())[prediction.label] += 1
        if len(self.faces) > 2 * _MAX_KEPT:
            self._forget({number for number, _ in faces})

    def _forget(self, present: set[int]) -> None:
        """Keep the present faces and those seen longest, so that memory does not grow with the video."""
        ranked = sorted(self.faces, key=lambda number: (number in present, self.faces[number].total()))
        for number in ranked[:-_MAX_KEPT]:
            del self.faces[number]
            self.forgotten += 1

    def __str__(self) -> str:
        """Return a line for the video, and one for each of the faces seen longest."""
        return "\n".join([self._header(), *self._face_lines()])

    def _header(self) -> str:
        speed = self.frames / self.elapsed if self.elapsed > 0 else 0.0
        dropped = f", {self.dropped:,} more dropped to keep up" if self.dropped else ""
        processed = f"{self.frames:,} frames in {self.elapsed:.1f} s ({speed:.1f} frames/s){dropped}"
        count = len(self.faces) + self.forgotten
        faces = "no face found" if not count else "1 face" if count == 1 else f"{count:,} faces"
        return f"{self.name}: {processed}, {faces}"

    def _face_lines(self) -> list[str]:
        longest = sorted(self.faces.items(), key=lambda item: -item[1].total())[:_MAX_LISTED]
        lines = [f"  face {number}: {_fractions(emotions)}" for number, emotions in longest]
        others = len(self.faces) + self.forgotten - len(longest)
        return [*lines, f"  and {others:,} more, seen for a shorter time"] if others else lines


def _fractions(emotions: Counter[str]) -> str:
    total = emotions.total()
    ranked = [(name, count / total) for name, count in emotions.most_common(3)]
    parts = [f"{name} {fraction:.0%}".replace("%", " %") for name, fraction in ranked if fraction >= 0.01]
    return f"{', '.join(parts)} of {total:,} frames"
