"""Hypothesis tests: McNemar's with a paired interval, the Mantel-Haenszel test, and Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr

from fer.analysis.metrics.intervals import Z95

# Minimum distance of the expected hits from their bounds, for the normal approximation
MIN_EXPECTED = 5.0


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


def paired_difference_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy of A minus that of B on the same images.

    Bonett and Price 2012 (https://doi.org/10.3102/1076998611411915): a Wald interval with one image added to
    each discordant cell, so that it is valid for few discordant images or none.

    Args:
        only_a: Number of images that only A classifies correctly.
        only_b: Number that only B does.
        n: Number of all images.
    """
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = Z95 * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    return max(-1.0, a - b - half), min(1.0, a - b + half)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p-values corrected for multiple testing (Holm 1979, https://www.jstor.org/stable/4615733)."""
    order = np.argsort(p, kind="stable")
    steps = (len(order) - np.arange(len(order))) * np.asarray(p, dtype=np.float64)[order]
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def mantel_haenszel(group: np.ndarray, hits: np.ndarray, strata: np.ndarray) -> float | None:
    """Test whether hits are equally frequent inside and outside ``group``: Mantel-Haenszel, two-sided.

    Mantel and Haenszel 1959 (https://doi.org/10.1093/jnci/22.4.719), without continuity correction. Groups
    are compared within each stratum, so a harder mix of emotions alone makes no difference.

    Args:
        group: bool ``(N,)``.
        hits: bool ``(N,)``, e.g. correct predictions.
        strata: int ``(N,)``, from 0, e.g. true emotions; all 0 for an unstratified comparison.

    Returns:
        The p-value; None for too few images for the normal approximation: the expected hits are less than
        `MIN_EXPECTED` from the smallest or largest possible number (Mantel and Fleiss 1980,
        https://doi.org/10.1093/oxfordjournals.aje.a112966).
    """
    counted = (group, hits, group & hits, np.ones(len(group)))
    inside, hit, both, total = (np.bincount(strata, values.astype(np.float64)) for values in counted)
    expected = inside * hit / np.maximum(total, 1)
    low, high = np.maximum(0, inside + hit - total), np.minimum(inside, hit)
    if min((expected - low).sum(), (high - expected).sum()) < MIN_EXPECTED:
        return None
    variance = expected * (total - inside) * (total - hit) / np.maximum(total * (total - 1), 1)
    return math.erfc(abs((both - expected).sum()) / math.sqrt(2 * variance.sum()))
