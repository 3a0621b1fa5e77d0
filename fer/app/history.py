"""How probable each emotion of each face was, over time, in as little memory as a chart needs."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fer.prediction import Prediction


class History:
    """Mean probabilities of each face, step by step.

    Args:
        emotions: Of the model, ``K``, in order.
        step: Seconds whose answers are averaged.
        span: Seconds that are remembered; None: all.
        pause: Seconds without a frame after which nothing is known of them, as of a camera that was off.
    """

    def __init__(
        self, emotions: Sequence[str], step: float, span: float | None = None, pause: float = math.inf
    ) -> None:
        self.emotions = tuple(emotions)
        self.step = step
        self._pause = pause
        self._kept = None if span is None else round(span / step)
        self._sums: dict[int, dict[int, np.ndarray]] = {}  # face -> step -> sums and, last, how many
        self._looked: set[int] = set()  # steps in which there was a frame
        self._last = -1

    def add(self, seen: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        """Take in the faces of a frame, number and answer of each; its time must not decrease."""
        step = int(seconds / self.step)
        self._looked.add(step)
        if step != self._last:
            if (step - self._last - 1) * self.step > self._pause:
                self._looked.add(self._last + 1)  # and nobody was seen: so it is until this frame
            self._last = step
            self._forget()
        for number, answer in seen:
            row = np.array([*answer.probabilities.values(), 1.0])
            steps = self._sums.setdefault(number, {})
            steps[step] = steps[step] + row if step in steps else row

    def _forget(self) -> None:
        if self._kept is None:
            return
        self._looked = {step for step in self._looked if step > self._last - self._kept}
        for number, steps in list(self._sums.items()):
            for step in [step for step in steps if step <= self._last - self._kept]:
                del steps[step]
            if not steps:
                del self._sums[number]

    def faces(self) -> list[int]:
        """Return the numbers of the faces, those seen longest first."""
        return sorted(self._sums, key=lambda number: (-len(self._sums[number]), number))

    def shares(self, face: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what a face showed.

        Args:
            face: Its number; nothing was seen of one that is unknown.

        Returns:
            Times in seconds, the middle of each step, float ``(T,)``, and mean probabilities, float
            ``(T, K)``, NaN where the face was not seen. Up to the last step of any face. A step without a
            frame, as of a slow camera, is taken to be like the one before, up to ``pause``.
        """
        first = 0 if self._kept is None else max(0, self._last + 1 - self._kept)
        steps = np.arange(first, self._last + 1)
        rows = np.array(list(self._rows(face, steps))).reshape(-1, len(self.emotions))
        return (steps + 0.5) * self.step, rows

    def _rows(self, face: int, steps: np.ndarray) -> Iterator[np.ndarray]:
        seen, unseen = self._sums.get(face, {}), np.full(len(self.emotions), np.nan)
        row = unseen
        for step in steps.tolist():
            if step in seen:
                row = seen[step][:-1] / seen[step][-1]
            elif step in self._looked:
                row = unseen
            yield row
