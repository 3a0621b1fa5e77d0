"""McNemar's exact test of two models on the same images, and Holm's correction of several p-values."""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> tuple[int, int, float]:
    """Test whether A and B are right equally often: McNemar's exact test, two-sided.

    McNemar 1947 (https://doi.org/10.1007/BF02295996); exact, as the binomial test on the images that one of
    them alone gets right.

    Args:
        right_a: bool ``(N,)``.
        right_b: bool ``(N,)``, the same images.

    Returns:
        Images that A alone has right, those that B alone has right, and the p-value.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p-values corrected for their number (Holm 1979, https://www.jstor.org/stable/4615733)."""
    order = np.argsort(p, kind="stable")
    steps = (len(order) - np.arange(len(order))) * np.asarray(p, dtype=np.float64)[order]
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected
