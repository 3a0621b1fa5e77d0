"""How far a model's confidence can be trusted: fitting it on validation, and the figures that judge it."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.analysis import calibration_error as ece
from fer.analysis.bootstrap import resample_weights
from fer.analysis.figure import Figure, measured
from fer.analysis.predictions import Predictions
from fer.analysis.probability_scores import probability_figures
from fer.analysis.selective import aurc, aurc_draws, threshold_for
from fer.analysis.temperature import (
    FOLDS,
    Calibration,
    cross_fitted_probs,
    fit_temperature,
    scaled_probs,
    temperature_interval,
)
from fer.errors import FerError

WANTED = (0.8, 0.9, 0.95)  # accuracies that a threshold is looked for
RANKED_RESAMPLES = 500  # of the area under a curve, whose draws are sums over ranks: 0.2 s


def calibrate(predictions: Predictions, wanted: Sequence[float] = WANTED) -> Calibration:
    """Fit temperature and thresholds on the validation split.

    Args:
        predictions: Of the validation split, with uncalibrated logits.
        wanted: Accuracies to look for a threshold for, each in (0, 1).

    Raises:
        FerError: The predictions are of another split.
    """
    about = predictions.about
    if about.get("role") != "val":
        raise FerError(
            f"Calibration: expected predictions of the validation split, got {about.get('role')!r}. "
            "A temperature fitted where the model is judged flatters it: fer-evaluate RUN --split val first."
        )
    temperature = fit_temperature(predictions.logits, predictions.target)
    low, high = temperature_interval(predictions.logits, predictions.target, temperature)
    confidence, correct = judged(scaled_probs(predictions.logits, temperature), predictions.target)
    return Calibration(
        temperature=temperature,
        low=low,
        high=high,
        thresholds=tuple(threshold_for(accuracy, confidence, correct) for accuracy in wanted),
        role="val",
        split=str(about.get("split", "val")),
        n=len(predictions),
        manifest_sha256=_digest(about.get("manifest")),
        model_sha256=about.get("model_sha256"),
    )


def judged(probs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and correctness of the predictions, ``(N,)`` each."""
    return probs.max(1), probs.argmax(1) == target


def _digest(manifest: Any) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def calibration_figures(
    target: np.ndarray, probs: np.ndarray, resamples: int = 2000, seed: int = 0
) -> dict[str, Figure]:
    """Return what says how good probabilities are.

    Args:
        target: int ``(N,)``.
        probs: ``(N, K)``.
        resamples: Draws of the bootstrap; of AURC `RANKED_RESAMPLES` at most.
        seed: Seed of the draws.

    Returns:
        ``ece_mass``, ``ece_width``, ``log_loss``, ``brier`` (see `fer.analysis.scores.score`),
        ``ece_debiased`` (equal mass, without an interval of its own) and ``aurc``.
    """
    found = probability_figures(target, probs, resamples, np.random.default_rng([seed, 1]))
    confidence, correct = judged(probs, target)
    value = ece.debiased(confidence, correct, ece.equal_mass(confidence))
    rng = np.random.default_rng([seed, 3])
    weights = resample_weights(target, min(resamples, RANKED_RESAMPLES), rng)
    order = np.argsort(-confidence, kind="stable")
    draws = np.concatenate([aurc_draws(order, correct, drawn) for drawn in weights])
    return found | {
        "ece_debiased": Figure(value, None, None, len(target), "its interval is that of the ECE"),
        "aurc": measured(aurc(confidence, correct), draws, len(target)),
    }


def is_fitted_here(predictions: Predictions, calibration: Calibration) -> bool:
    """Whether the calibration was fitted on these very images."""
    same = _digest(predictions.about.get("manifest")) == calibration.manifest_sha256
    return same and predictions.about.get("role") == "val"


def is_cross_fitted(predictions: Predictions, calibration: Calibration) -> bool:
    """Whether `calibrated_probs` deals the images into folds: they fitted it, and are enough for that."""
    return is_fitted_here(predictions, calibration) and len(predictions) >= FOLDS


def calibrated_probs(predictions: Predictions, calibration: Calibration, seed: int = 0) -> np.ndarray:
    """Return calibrated probabilities to judge, float64 ``(N, K)``.

    Cross-fitted on the images that the temperature was fitted on, if these are enough to be dealt into folds;
    at the temperature itself on any others.
    """
    if is_cross_fitted(predictions, calibration):
        return cross_fitted_probs(predictions.logits, predictions.target, seed=seed)
    return scaled_probs(predictions.logits, calibration.temperature)
