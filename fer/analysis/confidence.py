"""Calibration of confidence: fitting on the validation split, calibrated probabilities, and their metrics."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.analysis import calibration_error as ece
from fer.analysis.bootstrap import resample_weights
from fer.analysis.figure import Estimate, estimate_from_resamples
from fer.analysis.predictions import Predictions
from fer.analysis.probability_scores import probability_estimates
from fer.analysis.selective import aurc, resampled_aurc, threshold_for
from fer.analysis.temperature import (
    NUM_FOLDS,
    Calibration,
    cross_fitted_probs,
    fit_temperature,
    scaled_probs,
    temperature_interval,
)
from fer.errors import FerError

# Accuracies for which a confidence threshold is fitted
TARGET_ACCURACIES = (0.8, 0.9, 0.95)
# Fewer than for other metrics, as each resample needs a cumulative sum: 0.2 s
AURC_RESAMPLES = 500


def calibrate(predictions: Predictions, accuracies: Sequence[float] = TARGET_ACCURACIES) -> Calibration:
    """Fit temperature and confidence thresholds on the validation split.

    Args:
        predictions: Of the validation split, with uncalibrated logits.
        accuracies: Accuracies to fit a threshold for, each in (0, 1).

    Raises:
        FerError: The predictions are of another split.
    """
    about = predictions.about
    if about.get("role") != "val":
        raise FerError(
            f"Calibration: expected predictions of the validation split, got {about.get('role')!r}. Fitting "
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
        split=str(about.get("split", "val")),
        n=len(predictions),
        manifest_sha256=_manifest_sha256(about.get("manifest")),
        model_sha256=about.get("model_sha256"),
    )


def confidence_and_correct(probs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each prediction and whether it is correct, ``(N,)`` each."""
    return probs.max(1), probs.argmax(1) == target


def _manifest_sha256(manifest: Any) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def calibration_estimates(
    target: np.ndarray, probs: np.ndarray, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Return the metrics of a calibration.

    Args:
        target: int ``(N,)``.
        probs: ``(N, K)``.
        resamples: Number of bootstrap resamples; for AURC at most `AURC_RESAMPLES`.
        seed: Seed of the bootstrap.

    Returns:
        ``ece_mass``, ``ece_width``, ``log_loss``, ``brier`` (see `fer.analysis.scores.score`),
        ``ece_debiased`` (equal mass, without an interval) and ``aurc``.
    """
    estimates = probability_estimates(target, probs, resamples, np.random.default_rng([seed, 1]))
    confidence, correct = confidence_and_correct(probs, target)
    value = ece.debiased_ece(confidence, correct, ece.equal_mass_bins(confidence))
    rng = np.random.default_rng([seed, 3])
    chunks = resample_weights(target, min(resamples, AURC_RESAMPLES), rng)
    order = np.argsort(-confidence, kind="stable")
    draws = np.concatenate([resampled_aurc(order, correct, weights) for weights in chunks])
    return estimates | {
        "ece_debiased": Estimate(value, None, None, len(target), "see the interval of the ECE"),
        "aurc": estimate_from_resamples(aurc(confidence, correct), draws, len(target)),
    }


def is_fitted_on(predictions: Predictions, calibration: Calibration) -> bool:
    """Return whether the calibration was fitted on exactly these images."""
    same = _manifest_sha256(predictions.about.get("manifest")) == calibration.manifest_sha256
    return same and predictions.about.get("role") == "val"


def is_cross_fitted(predictions: Predictions, calibration: Calibration) -> bool:
    """Return whether `calibrated_probs` cross-fits: these images were fitted on and fill all folds."""
    return is_fitted_on(predictions, calibration) and len(predictions) >= NUM_FOLDS


def calibrated_probs(predictions: Predictions, calibration: Calibration, seed: int = 0) -> np.ndarray:
    """Return calibrated probabilities for evaluation, float64 ``(N, K)``.

    Cross-fitted on the images that the temperature was fitted on, where there are enough for all folds. On
    other images, scaled by the temperature.
    """
    if is_cross_fitted(predictions, calibration):
        return cross_fitted_probs(predictions.logits, predictions.target, seed=seed)
    return scaled_probs(predictions.logits, calibration.temperature)
