"""Confidence intervals of metrics that are measured on a finite number of images."""

import math

# Value ranges of metrics; [0, 1] for all others
_RANGES = {"kappa": (-1.0, 1.0), "log_loss": (0.0, math.inf), "brier": (0.0, 2.0)}
# Two-sided 95 % quantile of the normal distribution
Z95 = 1.959963984540054


def metric_range(metric: str) -> tuple[float, float]:
    """Return the least and the largest possible value of a metric; its intervals are clipped to them."""
    return _RANGES.get(metric, (0.0, 1.0))


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927, https://doi.org/10.2307/2276774).

    Args:
        successes: E.g. correct predictions, 0 to ``n``.
        n: Number of images, at least 1.
    """
    fraction, square = successes / n, Z95**2
    centre = (fraction + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(fraction * (1 - fraction) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
