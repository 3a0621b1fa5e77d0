"""Hypothesis tests: McNemar's exact test of two models on the same images, and Holm's correction."""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[int, int, float]:
    """Test whether models A and B have the same accuracy: McNemar's exact test, two-sided.

    McNemar 1947 (https://doi.org/10.1007/BF02295996), in the exact form: a binomial test on the discordant
    images, which only one of the models classifies correctly.

    Args:
        correct_a: bool ``(N,)``, correct predictions of A.
        correct_b: bool ``(N,)``, of B on the same images.

    Returns:
        Number of images only A classifies correctly, number only B does, and the p-value.
    """
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p-values corrected for multiple testing (Holm 1979, https://www.jstor.org/stable/4615733)."""
    order = np.argsort(p, kind="stable")
    steps = (len(order) - np.arange(len(order))) * np.asarray(p, dtype=np.float64)[order]
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected
