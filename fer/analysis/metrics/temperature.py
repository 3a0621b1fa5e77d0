"""Temperature scaling: one number that turns logits into calibrated probabilities.

Guo et al. 2017, https://arxiv.org/abs/1706.04599: probabilities are softmax(logits / T), with the T that
maximises the likelihood of the labels of the validation split. Predictions stay the same; only their
confidence changes.
"""

import numpy as np

from fer.analysis.metrics.intervals import Z95
from fer.core.errors import FerError

# Range of T. Outside it, a model is correct on every image or no better than chance
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# Folds of the cross-fitting
NUM_FOLDS = 5
# Minimum logit relative to the largest of its row, because minus infinity times 0 is NaN
_FLOOR = -1e4


def fit_temperature(logits: np.ndarray, target: np.ndarray, offset: np.ndarray | None = None) -> float:
    """Return the temperature that minimises the negative log-likelihood.

    The root of its slope in 1 / T, in which it is convex.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``.
        offset: As for `scaled_probs`.

    Returns:
        The temperature; `MIN_TEMPERATURE` where a lower one is always better (every image is correct),
        `MAX_TEMPERATURE` where a higher one is.
    """
    # Takes half a second to import, and few commands fit a temperature
    from scipy.optimize import brentq

    logits = _finite(logits)
    target_logits = logits[np.arange(len(target)), target]

    def slope(inverse: float) -> float:
        """Return the derivative of the mean negative log-likelihood with respect to 1 / T."""
        return float(((scaled_probs(logits, 1 / inverse, offset) * logits).sum(1) - target_logits).mean())

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if slope(low) >= 0:
        return MAX_TEMPERATURE
    if slope(high) <= 0:
        return MIN_TEMPERATURE
    return 1 / float(brentq(slope, low, high, xtol=1e-13))


def temperature_interval(
    logits: np.ndarray, target: np.ndarray, temperature: float, offset: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a fitted temperature.

    From the robust ("sandwich") variance of 1 / T, which is valid for misspecified models too (White 1982,
    https://doi.org/10.2307/1912526); clipped to `MIN_TEMPERATURE` and `MAX_TEMPERATURE`.
    """
    logits, probs = _finite(logits), scaled_probs(logits, temperature, offset)
    mean = (probs * logits).sum(1)
    slopes = mean - logits[np.arange(len(target)), target]
    curvature = (probs * (logits - mean[:, None]) ** 2).sum()
    half = Z95 * float(np.sqrt((slopes**2).sum()) / max(curvature, np.finfo(float).tiny))
    low, high = (1 / max(1 / MAX_TEMPERATURE, 1 / temperature + sign * half) for sign in (1, -1))
    return max(MIN_TEMPERATURE, low), high


def scaled_probs(logits: np.ndarray, temperature: float, offset: np.ndarray | None = None) -> np.ndarray:
    """Return softmax(logits / temperature + offset), float64 ``(N, K)``; ``offset`` is ``(K,)`` or None."""
    powers = np.exp(_finite(logits) / temperature)
    if offset is not None:
        powers = powers * np.exp(offset)
    return powers / powers.sum(1, keepdims=True)


def _finite(logits: np.ndarray) -> np.ndarray:
    """Return float64 logits with a row maximum of 0 (the softmax is the same) and a minimum of `_FLOOR`."""
    logits = logits.astype(np.float64)
    if np.isnan(logits).any():
        raise FerError(
            "Calibration: expected logits, got NaN. The model diverged; choose another checkpoint."
        )
    return np.maximum(logits - logits.max(1, keepdims=True), _FLOOR)


def cross_fitted_probs(
    logits: np.ndarray, target: np.ndarray, temperature: float | None = None
) -> np.ndarray:
    """Return calibrated probabilities, each image with a temperature that was fitted without it.

    This evaluates calibration without bias on the split that it is fitted on. The images, at least
    `NUM_FOLDS`, are divided into as many random folds, stratified by emotion.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``.
        temperature: A temperature that was fitted on these images with other logits, such as those of the
            model before quantisation. It is changed by the same factor for each fold as the temperature of
            ``logits``. None: the temperature of ``logits``.

    Returns:
        float64 ``(N, K)``.
    """
    order = np.random.default_rng(0).permutation(len(target))
    order = order[np.argsort(target[order], kind="stable")]
    fold = np.empty(len(target), np.int64)
    fold[order] = np.arange(len(target)) % NUM_FOLDS
    factor = 1.0 if temperature is None else temperature / fit_temperature(logits, target)
    probs = np.empty(logits.shape, np.float64)
    for number in range(NUM_FOLDS):
        held_out, rest = fold == number, fold != number
        fitted = factor * fit_temperature(logits[rest], target[rest])
        probs[held_out] = scaled_probs(logits[held_out], fitted)
    return probs
