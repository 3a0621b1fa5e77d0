"""Steady answers: the probabilities of a face, averaged over its last moments."""

import math
from collections.abc import Sequence

import numpy as np

_FADED = 7  # time constants after which the past weighs less than a thousandth


class Smoother:
    """Averages each face's probabilities over time, what is long past counting less and less.

    Exponential smoothing for samples at uneven times: the new answer weighs ``1 - exp(-dt / constant)``, so
    that the outcome does not depend on the frame rate (Brown 1959; for uneven times Wright 1986,
    https://doi.org/10.1287/mnsc.32.4.499).

    Args:
        constant: Seconds in which the weight of the past falls to 37 %; 0 leaves every answer as it is.
    """

    def __init__(self, constant: float) -> None:
        self.constant = constant
        self._past: dict[int, tuple[float, np.ndarray]] = {}

    def update(self, track_ids: Sequence[int], probs: np.ndarray, seconds: float) -> np.ndarray:
        """Smooth the answers of one frame.

        Args:
            track_ids: Number of each face, ``N``; see `fer.video.tracking.Tracker`.
            probs: float ``(N, K)``, rows sum to 1.
            seconds: Time of the frame; must not decrease.

        Returns:
            float64 ``(N, K)``, rows sum to 1.
        """
        if self.constant <= 0:
            return np.asarray(probs, np.float64)
        rows = [self._smooth(face, row, seconds) for face, row in zip(track_ids, probs, strict=True)]
        self._past = {
            face: (at, row)
            for face, (at, row) in self._past.items()
            if seconds - at <= _FADED * self.constant
        }
        return np.array(rows, np.float64).reshape(np.shape(probs))

    def _smooth(self, face: int, probs: np.ndarray, seconds: float) -> np.ndarray:
        now = np.asarray(probs, np.float64)
        at, past = self._past.get(face, (-math.inf, now))
        weight = -math.expm1(-max(0.0, float(seconds) - at) / self.constant)
        mixed = past + weight * (now - past)
        self._past[face] = (max(float(seconds), at), mixed)
        return mixed
