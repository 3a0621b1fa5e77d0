"""What was done of a film and seen in it, in a few lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fer.predict import Prediction
from fer.video.frames import Frame

_NAMED = 5  # faces; a film has one big cast, and many who pass by
_KEPT = 1000  # faces whose emotions are held; a camera that runs for days sees more


@dataclass
class Summary:
    """What was done, and seen.

    Attributes:
        name: Of the film or webcam.
        frames: That were looked at.
        dropped: That were not, because others were newer.
        seconds: Time of the last frame looked at.
        elapsed: Seconds that it took.
        faces: Number of a face -> how often it showed which emotion; of many, those seen longest.
        passed: Faces that were seen more shortly and are no longer held.
        shortfall: What is missing where the film ends in the middle; None where it is whole.
    """

    name: str
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    faces: dict[int, Counter[str]] = field(default_factory=dict)
    passed: int = 0
    shortfall: str | None = None

    def add(self, frame: Frame, faces: Sequence[tuple[int, Prediction]]) -> None:
        """Count a frame and its faces."""
        self.frames, self.seconds = self.frames + 1, frame.seconds
        for number, prediction in faces:
            self.faces.setdefault(number, Counter())[prediction.label] += 1
        if len(self.faces) > 2 * _KEPT:
            self._forget({number for number, _ in faces})

    def _forget(self, present: set[int]) -> None:
        """Keep the faces seen longest and those in sight, so that memory does not grow with the film."""
        ranked = sorted(self.faces, key=lambda number: (number in present, self.faces[number].total()))
        for number in ranked[:-_KEPT]:
            del self.faces[number]
            self.passed += 1

    def __str__(self) -> str:
        """Return a line on the film, and one on each of the faces seen longest."""
        return "\n".join([self._work(), *self._people()])

    def _work(self) -> str:
        rate = self.frames / self.elapsed if self.elapsed > 0 else 0.0
        dropped = f", {self.dropped:,} more dropped to keep up" if self.dropped else ""
        done = f"{self.frames:,} frames in {self.elapsed:.1f} s ({rate:.1f} frames/s){dropped}"
        count = len(self.faces) + self.passed
        seen = "no face found" if not count else "1 face" if count == 1 else f"{count:,} faces"
        return f"{self.name}: {done}, {seen}"

    def _people(self) -> list[str]:
        longest = sorted(self.faces.items(), key=lambda item: -item[1].total())[:_NAMED]
        lines = [f"  face {number}: {_shares(emotions)}" for number, emotions in longest]
        more = len(self.faces) + self.passed - len(longest)
        return [*lines, f"  and {more:,} seen more shortly"] if more else lines


def _shares(emotions: Counter[str]) -> str:
    total = emotions.total()
    ranked = [(name, count / total) for name, count in emotions.most_common(3)]
    parts = [f"{name} {share:.0%}".replace("%", " %") for name, share in ranked if share >= 0.01]
    return f"{', '.join(parts)} of {total:,} frames"
