"""Confidence intervals of what was measured on a finite number of images."""

import math

_RANGES = {"kappa": (-1.0, 1.0), "log_loss": (0.0, math.inf), "brier": (0.0, 2.0)}  # all others are shares
Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def ends_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a metric can have: where its intervals end."""
    return _RANGES.get(metric, (0.0, 1.0))


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share such as accuracy (Wilson 1927, https://doi.org/10.2307/2276774).

    Args:
        successes: Right answers, 0 to ``n``.
        n: Images, at least 1.
    """
    share, square = successes / n, Z95**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
