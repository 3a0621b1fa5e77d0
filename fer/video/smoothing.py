"""Smooth the probabilities of each face over time."""

import math
from collections.abc import Sequence

import numpy as np

# After this many time constants, past predictions have a weight below a thousandth.
_MAX_AGE = 7


class Smoother:
    """Exponential smoothing of each face's probabilities, for frames at irregular times.

    A new prediction has the weight ``1 - exp(-dt / constant)``, so that the result does not depend on the
    frame rate (Brown 1959; for irregular times Wright 1986, https://doi.org/10.1287/mnsc.32.4.499).

    Args:
        constant: Time in seconds after which the weight of the past has fallen to 37 %; 0: no smoothing.
    """

    def __init__(self, constant: float) -> None:
        self.constant = constant
        self._past: dict[int, tuple[float, np.ndarray]] = {}

    def update(self, track_ids: Sequence[int], probs: np.ndarray, seconds: float) -> np.ndarray:
        """Smooth the predictions of one frame.

        Args:
            track_ids: Number of each face, ``N``; see `fer.video.tracking.BoxTracker`.
            probs: float ``(N, K)``, rows sum to 1.
            seconds: Time of the frame; must not decrease.

        Returns:
            float64 ``(N, K)``, rows sum to 1.
        """
        if self.constant <= 0:
            return np.asarray(probs, np.float64)
        rows = [self._smooth(track, row, seconds) for track, row in zip(track_ids, probs, strict=True)]
        self._past = {
            track: (time, row)
            for track, (time, row) in self._past.items()
            if seconds - time <= _MAX_AGE * self.constant
        }
        return np.array(rows, np.float64).reshape(np.shape(probs))

    def _smooth(self, track: int, probs: np.ndarray, seconds: float) -> np.ndarray:
        new = np.asarray(probs, np.float64)
        time, past = self._past.get(track, (-math.inf, new))
        weight = -math.expm1(-max(0.0, float(seconds) - time) / self.constant)
        smoothed = past + weight * (new - past)
        self._past[track] = (max(float(seconds), time), smoothed)
        return smoothed
