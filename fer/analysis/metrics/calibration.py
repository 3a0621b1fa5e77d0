"""Calibration: fit on the validation split, calibrate probabilities, and measure the calibration error.

The expected calibration error (ECE) is the mean gap between confidence and accuracy over bins of images with
similar confidence (Guo et al. 2017, https://arxiv.org/abs/1706.04599). Temperature scaling itself is in
`fer.analysis.metrics.temperature`.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import erf

from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.metrics.estimate import Estimate, estimate_from_resamples
from fer.analysis.metrics.intervals import resample_means, resample_weights
from fer.analysis.metrics.selective import aurc, resampled_aurc, threshold_for
from fer.analysis.metrics.temperature import (
    NUM_FOLDS,
    cross_fitted_probs,
    fit_temperature,
    scaled_probs,
    temperature_interval,
)
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError

# Accuracies for which a confidence threshold is fitted
TARGET_ACCURACIES = (0.8, 0.9, 0.95)
# Fewer resamples than for other metrics, because each needs a cumulative sum; these take 0.2 s
AURC_RESAMPLES = 500
# Bins of the calibration error, as in Guo et al. 2017
NUM_BINS = 15


def calibrate(predictions: Predictions, accuracies: Sequence[float] = TARGET_ACCURACIES) -> Calibration:
    """Fit temperature and confidence thresholds on the validation split.

    Args:
        predictions: Of the validation split, with uncalibrated logits.
        accuracies: Accuracies to fit a threshold for, each in (0, 1).

    Raises:
        FerError: The predictions are of another split.
    """
    about = predictions.about
    if about.role != "val":
        raise FerError(
            f"Calibration: expected predictions of the validation split, got {about.role!r}. Fitting "
            "the temperature on the evaluated images biases the result. Run fer-evaluate RUN --split val "
            "first."
        )
    temperature = fit_temperature(predictions.logits, predictions.target)
    low, high = temperature_interval(predictions.logits, predictions.target, temperature)
    confidence, correct = confidence_and_correct(
        scaled_probs(predictions.logits, temperature), predictions.target
    )
    return Calibration(
        temperature=temperature,
        low=low,
        high=high,
        thresholds=tuple(threshold_for(accuracy, confidence, correct) for accuracy in accuracies),
        role="val",
        split=about.split,
        n=len(predictions),
        manifest_sha256=manifest_sha256(about.manifest),
        model_sha256=about.model_sha256,
    )


def calibrated_probs(predictions: Predictions, calibration: Calibration) -> np.ndarray:
    """Return calibrated probabilities for evaluation, float64 ``(N, K)``.

    On the images that the temperature was fitted on, they are cross-fitted if there are enough for all folds.
    On other images, the logits are divided by the temperature.
    """
    if is_cross_fitted(predictions, calibration):
        return cross_fitted_probs(predictions.logits, predictions.target)
    return scaled_probs(predictions.logits, calibration.temperature)


def is_fitted_on(predictions: Predictions, calibration: Calibration) -> bool:
    """Return whether the calibration was fitted on exactly these images."""
    same = manifest_sha256(predictions.about.manifest) == calibration.manifest_sha256
    return same and predictions.about.role == "val"


def is_cross_fitted(predictions: Predictions, calibration: Calibration) -> bool:
    """Return whether `calibrated_probs` cross-fits: fitted on these images, and enough for all folds."""
    return is_fitted_on(predictions, calibration) and len(predictions) >= NUM_FOLDS


def manifest_sha256(manifest: Any) -> str:
    """Return the SHA-256 of a manifest as canonical JSON."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def confidence_and_correct(probs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each prediction and whether it is correct, ``(N,)`` each."""
    return probs.max(1), probs.argmax(1) == target


def calibration_estimates(
    target: np.ndarray, probs: np.ndarray, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Return the metrics of calibrated or uncalibrated probabilities.

    The arguments are those of `fer.analysis.metrics.classification.score`.

    Returns:
        ``ece_mass``, ``ece_width``, ``log_loss`` and ``brier`` (see
        `fer.analysis.metrics.classification.score`); ``ece_debiased`` (bins of equal mass, without an
        interval); and ``aurc`` (see `fer.analysis.metrics.selective.aurc`).
    """
    estimates = probability_estimates(target, probs, resamples, np.random.default_rng([seed, 1]))
    confidence, correct = confidence_and_correct(probs, target)
    value = debiased_ece(confidence, correct, equal_mass_bins(confidence))
    rng = np.random.default_rng([seed, 3])
    chunks = resample_weights(target, min(resamples, AURC_RESAMPLES), rng)
    order = np.argsort(-confidence, kind="stable")
    draws = np.concatenate([resampled_aurc(order, correct, weights) for weights in chunks])
    return estimates | {
        "ece_debiased": Estimate(value, None, None, len(target), "see the interval of the ECE"),
        "aurc": estimate_from_resamples(aurc(confidence, correct), draws, len(target)),
    }


def probability_estimates(
    target: np.ndarray, probs: np.ndarray, resamples: int, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return log loss, Brier score and ECE (bins of equal mass and of equal width) with bootstrap intervals.

    The bins of the calibration errors are computed once and used for all resamples.
    """
    n, probs = len(target), probs.astype(np.float64)
    rows, (confidence, correct) = np.arange(n), confidence_and_correct(probs, target)
    losses = {
        "log_loss": -np.log(np.maximum(probs[rows, target], np.finfo(np.float64).eps)),
        "brier": (probs**2).sum(1) - 2 * probs[rows, target] + 1,
    }
    bins = {"ece_mass": equal_mass_bins(confidence), "ece_width": equal_width_bins(confidence)}
    # Confidence minus correctness in the column of each image's bin, 0 elsewhere
    gap, numbers = (confidence - correct)[:, None], np.arange(NUM_BINS)
    gap_columns = [np.where(numbers == index[:, None], gap, 0.0) for index in bins.values()]
    columns = np.column_stack([*losses.values(), *gap_columns])
    draws = resample_means(columns, target, resamples, rng)
    estimates = {
        name: estimate_from_resamples(loss.mean(), draws[:, i], n)
        for i, (name, loss) in enumerate(losses.items())
    }
    for i, (name, index) in enumerate(bins.items()):
        start = len(losses) + i * NUM_BINS
        gaps = bin_gaps(confidence, correct, index)
        value = float(np.abs(gaps).sum())
        low, high = ece_interval(value, gaps, draws[:, start : start + NUM_BINS])
        estimates[name] = Estimate(value, low, high, n)
    return estimates


def equal_width_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of each image, int64 ``(N,)``: bin b is (b / n, (b + 1) / n] for n bins."""
    return np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)


def equal_mass_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of each image, int64 ``(N,)``, with about the same number of images each.

    Images of equal confidence are in the same bin.
    """
    starts = np.arange(1, NUM_BINS) * len(confidence) // NUM_BINS
    return np.searchsorted(np.sort(confidence)[starts], confidence, side="right")


def bin_gaps(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the signed contribution of each bin to the ECE: positive where the model is overconfident.

    ``index`` is the bin of each image, int ``(N,)``. The ECE is the sum of the absolute values of the result,
    float64 ``(NUM_BINS,)``.
    """
    return np.bincount(index, confidence - correct, NUM_BINS) / len(index)


def debiased_ece(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray) -> float:
    """Return the ECE minus an estimate of its bias from finite samples.

    A finite sample has a gap in every bin even for a perfectly calibrated model. The bias is estimated with
    accuracies that are normal around the measured ones (Kumar et al. 2019, https://arxiv.org/abs/1909.10155),
    here in closed form: the mean of a folded normal distribution. In simulations this removed 40 % of the
    bias for a perfectly calibrated model, and nearly all of it for an ECE of 6 % and more.
    """
    gaps = bin_gaps(confidence, correct, index)
    count = np.bincount(index, minlength=NUM_BINS)
    accuracy = np.bincount(index, correct, NUM_BINS) / np.maximum(count, 1)
    deviation = np.sqrt(count * accuracy * (1 - accuracy)) / len(index)
    mean, sigma = np.abs(gaps), np.maximum(deviation, 1e-12)
    ratio = mean / sigma / math.sqrt(2)
    expected = sigma * math.sqrt(2 / math.pi) * np.exp(-(ratio**2)) + mean * erf(ratio)
    return max(0.0, float(2 * np.abs(gaps).sum() - expected.sum()))


def ece_interval(value: float, gaps: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of the ECE.

    Resampling adds noise to the gaps a second time, so percentile intervals are too high: they never contain
    0, the true ECE of a perfectly calibrated model. Here the upper end is the 97.5th percentile, and the
    lower end is as far below the value as the upper is above it. The lower end is 0 where the noise of the
    gaps alone is as large as the value in 5 % of the resamples. In 200 simulated splits each, of 3,589 and of
    700 images, with true errors of 0 to 16 %, this interval covered the true value in 92 to 98 %, and
    percentiles in 0 to 94 %.

    Args:
        value: The ECE as measured.
        gaps: Gap of each bin as measured, ``(bins,)``.
        draws: Gaps in each resample, ``(R, bins)``.
    """
    high = float(np.quantile(np.abs(draws).sum(1), 0.975))
    noise = float(np.quantile(np.abs(draws - gaps).sum(1), 0.95))
    return (0.0 if value <= noise else max(0.0, 2 * value - high)), high
