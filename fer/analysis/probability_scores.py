"""Metrics of the probabilities: log loss, Brier score and expected calibration error, with intervals."""

import numpy as np

from fer.analysis.bootstrap import resample_means
from fer.analysis.calibration_error import (
    NUM_BINS,
    bin_gaps,
    ece_interval,
    equal_mass_bins,
    equal_width_bins,
)
from fer.analysis.figure import Estimate, estimate_from_resamples


def probability_estimates(
    target: np.ndarray, probs: np.ndarray, resamples: int, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return log loss, Brier score and both calibration errors, with bootstrap intervals.

    The bins of the calibration errors are computed once and used for all resamples.
    """
    n, probs = len(target), probs.astype(np.float64)
    rows, confidence, correct = np.arange(n), probs.max(1), probs.argmax(1) == target
    losses = {
        "log_loss": -np.log(np.maximum(probs[rows, target], np.finfo(np.float64).eps)),
        "brier": (probs**2).sum(1) - 2 * probs[rows, target] + 1,
    }
    bins = {"ece_mass": equal_mass_bins(confidence), "ece_width": equal_width_bins(confidence)}
    columns = np.column_stack(
        [*losses.values(), *(_gap_columns(confidence, correct, index) for index in bins.values())]
    )
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


def _gap_columns(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return confidence minus correctness in the column of each image's bin, 0 elsewhere, ``(N, bins)``."""
    return np.where(np.arange(NUM_BINS) == index[:, None], (confidence - correct)[:, None], 0.0)
