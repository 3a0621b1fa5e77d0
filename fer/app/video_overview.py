"""The overview of a video for given settings: summary, strips of emotions, probabilities over time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fer.app.history import History
from fer.app.video_frames import VideoFrames
from fer.predict.video.reader import Frame
from fer.predict.video.summary import Summary

# A chart is about 700 pixels wide: more points would not be visible.
_MAX_CHART_POINTS = 240
_MIN_STEP_SECONDS = 0.1
# Steps of a strip, which is about 900 pixels wide.
_MAX_STRIP_STEPS, _MIN_STRIP_STEP = 400, 0.02
# Times are sums of rounded numbers.
_TINY = 1e-6
_NO_IMAGE = np.empty((0, 0, 3), np.uint8)
# Emotion and whether it is uncertain.
_State = tuple[str, bool]


class Segment(NamedTuple):
    """A time in seconds during which a face shows the same emotion."""

    start: float
    end: float
    emotion: str
    uncertain: bool


@dataclass(frozen=True)
class Overview:
    """What a page shows of a video.

    Attributes:
        summary: Frames and faces.
        history: Mean probabilities of each face over time.
        segments: Number of a face -> its segments in order; gaps are times at which it was not seen.
    """

    summary: Summary
    history: History
    segments: dict[int, list[Segment]]

    def faces(self) -> list[int]:
        """Return the faces seen longest first; of very many, the summary forgets those seen only briefly."""
        durations = {number: sum(seconds.values()) for number, seconds in self.summary.faces.items()}
        return sorted(durations, key=lambda number: (-round(durations[number], 2), number))


def make_overview(frames: VideoFrames, smooth: float, uncertain_below: float | None) -> Overview:
    """Return the overview of a video, computed from the stored probabilities of its frames.

    Args:
        frames: The faces of each frame.
        smooth, uncertain_below: As for `VideoFrames.track`.
    """
    duration = frames.seconds
    step = max(_MIN_STEP_SECONDS, duration / _MAX_CHART_POINTS)
    summary, history = Summary("video"), History(frames.emotions, step)
    summary.last_duration = frames.last_duration
    strips = _Strips(max(_MIN_STRIP_STEP, duration / _MAX_STRIP_STEPS))
    for index, (seconds, faces) in enumerate(frames.track(smooth, uncertain_below)):
        summary.add(Frame(index, seconds, _NO_IMAGE), faces)
        history.add(faces, seconds)
        strips.add({number: (face.label, face.uncertain) for number, face in faces}, seconds)
    strips.add({}, duration)
    return Overview(summary, history, {number: [*strips.segments(number)] for number in strips.seconds})


@dataclass
class _Strips:
    """Seconds of each state of a face in steps of fixed length.

    Attributes:
        step: Length of a step in seconds.
        seconds: Face -> step -> seconds by state.
    """

    step: float
    seconds: dict[int, dict[int, dict[_State, float]]] = field(default_factory=dict)
    _last: dict[int, _State] = field(default_factory=dict)
    _time: float = 0.0

    def add(self, states: dict[int, _State], time: float) -> None:
        """Add the states from a time on; they last until the next call."""
        for number, state in self._last.items():
            steps = self.seconds.setdefault(number, {})
            for step in range(int(self._time / self.step), int(time / self.step) + 1):
                overlap = min(time, (step + 1) * self.step) - max(self._time, step * self.step)
                if overlap > _TINY:
                    states_here = steps.setdefault(step, {})
                    states_here[state] = states_here.get(state, 0.0) + overlap
        self._last, self._time = states, time

    def segments(self, number: int) -> Iterator[Segment]:
        """Yield the segments of a face: successive steps with the same most frequent state."""
        current: Segment | None = None
        for step, states in sorted(self.seconds[number].items()):
            emotion, uncertain = max(states, key=states.__getitem__)
            start, end = step * self.step, min(self._time, (step + 1) * self.step)
            if current is not None and current[1:] == (start, emotion, uncertain):
                current = current._replace(end=end)
                continue
            if current is not None:
                yield current
            current = Segment(start, end, emotion, uncertain)
        if current is not None:
            yield current
