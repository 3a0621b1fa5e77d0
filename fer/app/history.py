"""Emotion probabilities of each face over time, averaged in steps for charts."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fer.predict.predictor import Prediction


class History:
    """Mean probabilities of each face in time steps of fixed length.

    Args:
        emotions: The ``K`` emotions of the model, in order.
        step: Length of a step in seconds.
        span: Seconds to remember; None for all.
        max_gap: Seconds without a frame after which the gap counts as unknown, e.g. when a camera was off.
            Shorter gaps are filled with the step before.
    """

    def __init__(
        self, emotions: Sequence[str], step: float, span: float | None = None, max_gap: float = math.inf
    ) -> None:
        self.emotions = tuple(emotions)
        self.step = step
        self._max_gap = max_gap
        self._max_steps = None if span is None else round(span / step)
        # Face -> step -> sums of the probabilities and, in the last element, their count.
        self._sums: dict[int, dict[int, np.ndarray]] = {}
        self._steps_with_frames: set[int] = set()
        self._last = -1

    def add(self, faces: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        """Add a frame.

        Args:
            faces: Number and prediction of each face in the frame.
            seconds: Time of the frame; must not decrease.
        """
        step = int(seconds / self.step)
        self._steps_with_frames.add(step)
        if step != self._last:
            if (step - self._last - 1) * self.step > self._max_gap:
                # Recorded as a frame without faces, so that the gap is not filled.
                self._steps_with_frames.add(self._last + 1)
            self._last = step
            self._drop_old_steps()
        for number, prediction in faces:
            row = np.array([*prediction.probabilities.values(), 1.0])
            steps = self._sums.setdefault(number, {})
            steps[step] = steps[step] + row if step in steps else row

    def _drop_old_steps(self) -> None:
        if self._max_steps is None:
            return
        oldest = self._last - self._max_steps + 1
        self._steps_with_frames = {step for step in self._steps_with_frames if step >= oldest}
        for number, steps in list(self._sums.items()):
            for step in [step for step in steps if step < oldest]:
                del steps[step]
            if not steps:
                del self._sums[number]

    def faces(self) -> list[int]:
        """Return the numbers of the faces, those seen in the most steps first."""
        return sorted(self._sums, key=lambda number: (-len(self._sums[number]), number))

    def probabilities(self, face: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean probabilities of a face over time.

        Args:
            face: Its number; all rows of an unknown face are NaN.

        Returns:
            The middle of each step in seconds, float ``(T,)``, and the mean probabilities, float ``(T, K)``,
            NaN where the face was not seen. A step without a frame repeats the step before, up to
            ``max_gap``.
        """
        first = 0 if self._max_steps is None else max(0, self._last + 1 - self._max_steps)
        steps = np.arange(first, self._last + 1)
        rows = np.array(list(self._rows(face, steps))).reshape(-1, len(self.emotions))
        return (steps + 0.5) * self.step, rows

    def _rows(self, face: int, steps: np.ndarray) -> Iterator[np.ndarray]:
        sums, unseen = self._sums.get(face, {}), np.full(len(self.emotions), np.nan)
        row = unseen
        for step in steps.tolist():
            if step in sums:
                row = sums[step][:-1] / sums[step][-1]
            elif step in self._steps_with_frames:
                row = unseen
            yield row
