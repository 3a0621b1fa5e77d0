"""Scores of the probabilities themselves: log loss, Brier score, calibration error."""

import numpy as np

from fer.analysis.bootstrap import resample_means
from fer.analysis.calibration_error import BINS, bin_gaps, equal_mass, equal_width, interval
from fer.analysis.figure import Figure, measured


def probability_figures(
    target: np.ndarray, probs: np.ndarray, resamples: int, rng: np.random.Generator
) -> dict[str, Figure]:
    """Return log loss, Brier score and both calibration errors.

    The bins of the calibration errors are those of the images as measured, in the resamples too.
    """
    n, probs = len(target), probs.astype(np.float64)
    rows, confidence, correct = np.arange(n), probs.max(1), probs.argmax(1) == target
    losses = {
        "log_loss": -np.log(np.maximum(probs[rows, target], np.finfo(np.float64).eps)),
        "brier": (probs**2).sum(1) - 2 * probs[rows, target] + 1,
    }
    bins = {"ece_mass": equal_mass(confidence), "ece_width": equal_width(confidence)}
    columns = np.column_stack(
        [*losses.values(), *(_one_hot_gaps(confidence, correct, b) for b in bins.values())]
    )
    draws = resample_means(columns, target, resamples, rng)
    found = {name: measured(loss.mean(), draws[:, i], n) for i, (name, loss) in enumerate(losses.items())}
    for i, (name, index) in enumerate(bins.items()):
        start = len(losses) + i * BINS
        gaps = bin_gaps(confidence, correct, index)
        value = float(np.abs(gaps).sum())
        low, high = interval(value, gaps, draws[:, start : start + BINS])
        found[name] = Figure(value, low, high, n)
    return found


def _one_hot_gaps(confidence: np.ndarray, correct: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return confidence less correctness in the column of each image's bin, ``(N, bins)``."""
    return np.where(np.arange(BINS) == index[:, None], (confidence - correct)[:, None], 0.0)
