"""Mantel-Haenszel test: whether a proportion differs between two groups of images, within strata."""

import math

import numpy as np

MIN_EXPECTED = 5.0


def mantel_haenszel(group: np.ndarray, hits: np.ndarray, strata: np.ndarray) -> float | None:
    """Return the two-sided p-value that hits are equally frequent inside and outside ``group``.

    Mantel and Haenszel 1959 (https://doi.org/10.1093/jnci/22.4.719), without continuity correction. Groups
    are compared within each stratum, so a harder mix of emotions alone makes no difference.

    Args:
        group: bool ``(N,)``.
        hits: bool ``(N,)``, e.g. correct predictions.
        strata: int ``(N,)``, from 0, e.g. true emotions; all 0 for an unstratified comparison.

    Returns:
        The p-value; None where there are too few images for the normal approximation (Mantel and Fleiss 1980,
        https://doi.org/10.1093/oxfordjournals.aje.a112966: expected hits less than 5 from a bound).
    """
    inside, hit = (_sums(strata, group), _sums(strata, hits))
    both, total = _sums(strata, group & hits), _sums(strata, np.ones(len(group)))
    expected = inside * hit / np.maximum(total, 1)
    low, high = np.maximum(0, inside + hit - total), np.minimum(inside, hit)
    if min((expected - low).sum(), (high - expected).sum()) < MIN_EXPECTED:
        return None
    variance = expected * (total - inside) * (total - hit) / np.maximum(total * (total - 1), 1)
    return math.erfc(abs((both - expected).sum()) / math.sqrt(2 * variance.sum()))


def _sums(strata: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sum of ``values`` in each stratum."""
    return np.bincount(strata, weights=values.astype(np.float64))
