"""Classification metrics from confusion matrices and top-2 counts, with bootstrap intervals."""

from collections.abc import Sequence

import numpy as np

from fer.analysis.bootstrap import resample_counts
from fer.analysis.figure import (
    Estimate,
    estimate_from_resamples,
    missing_emotions_note,
    rare_emotions_note,
    without_interval,
)

# Means in which each emotion has the same weight, however few its images
MEANS_OVER_EMOTIONS = ("uar", "macro_f1")
EMOTION_METRICS = ("precision", "recall", "f1")


def confusion_counts(target: np.ndarray, preds: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the confusion matrix, int64 ``(K, K)``: rows true, columns predicted."""
    cells = np.bincount(target * num_classes + preds, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def emotion_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of each emotion.

    Args:
        counts: ``(…, K, K)``, rows true, columns predicted.

    Returns:
        Metric -> float64 ``(…, K)``, in [0, 1]. NaN for an emotion without images; precision is NaN also for
        one that is never predicted.
    """
    hits, support, predicted = _margins(counts)
    return {
        "precision": _ratio(hits, np.where(support > 0, predicted, 0)),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, np.where(support > 0, support + predicted, 0)),
    }


def overall_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics over all images.

    Args:
        counts: ``(…, K, K)``, rows true, columns predicted; at least one image.

    Returns:
        Metric -> float64 ``(…,)``: ``accuracy``; ``uar`` (unweighted average recall, also called balanced
        accuracy); ``macro_f1`` and ``weighted_f1`` (means of F1, unweighted and by number of images);
        ``kappa`` (agreement beyond chance, Cohen 1960, https://doi.org/10.1177/001316446002000104; NaN
        where chance agrees on all). Means are over the emotions that have images. Predictions of an emotion
        without images lower the recall of the others, but add no F1 of their own.
    """
    hits, support, predicted = _margins(counts)
    total = support.sum(-1)
    accuracy = hits.sum(-1) / total
    chance = (support * predicted).sum(-1) / total**2
    emotions, present = emotion_scores(counts), support > 0
    f1 = np.where(present, emotions["f1"], 0.0)
    return {
        "accuracy": accuracy,
        "uar": np.where(present, emotions["recall"], 0.0).sum(-1) / present.sum(-1),
        "macro_f1": f1.sum(-1) / present.sum(-1),
        "weighted_f1": (f1 * support).sum(-1) / total,
        "kappa": _ratio(accuracy - chance, 1 - chance),
    }


def _margins(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits, images and predictions of each emotion, float64 ``(…, K)``."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    return hits, counts.sum(-1).astype(np.float64), counts.sum(-2).astype(np.float64)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0)


def top2_counts(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Count for each emotion the images where it is among the two most probable, and the others.

    Equally probable emotions rank in column order, as in ``argmax``.

    Returns:
        int64 ``(K, 2)``: among the two, not among them.
    """
    target_probs = np.take_along_axis(probs, target[:, None], 1)
    earlier = np.arange(probs.shape[1]) < target[:, None]
    ahead = ((probs > target_probs) | ((probs == target_probs) & earlier)).sum(1)
    cells = np.bincount(2 * target + (ahead >= 2), minlength=2 * probs.shape[1])
    return cells.reshape(-1, 2)


def count_estimates(
    target: np.ndarray, probs: np.ndarray, names: Sequence[str], resamples: int, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return the metrics that depend on counts of predictions alone, with bootstrap intervals."""
    counts = confusion_counts(target, probs.argmax(1), len(names))
    draws = resample_counts(counts, resamples, rng)
    estimates = _overall_estimates(counts, draws, names)
    estimates["top2"] = _top2_estimate(target, probs, resamples, rng)
    values, resampled = emotion_scores(counts), emotion_scores(draws)
    for metric in EMOTION_METRICS:
        sizes = counts.sum(0 if metric == "precision" else 1)
        for k, name in enumerate(names):
            note = _undefined_note(counts, k, name)
            hits = None if metric == "f1" else (int(counts[k, k]), int(sizes[k]))
            estimates[f"{metric}/{name}"] = estimate_from_resamples(
                values[metric][k], resampled[metric][:, k], int(sizes[k]), note, hits
            )
    return estimates


def _overall_estimates(counts: np.ndarray, draws: np.ndarray, names: Sequence[str]) -> dict[str, Estimate]:
    n, values, resampled = int(counts.sum()), overall_scores(counts), overall_scores(draws)
    notes = dict.fromkeys(("uar", "macro_f1", "weighted_f1"), missing_emotions_note(counts.sum(1), names))
    if np.isnan(values["kappa"]):
        notes["kappa"] = "all images have one emotion and are predicted as it"
    hits = {"accuracy": (int(counts.trace()), n)}
    estimates = {
        name: estimate_from_resamples(float(value), resampled[name], n, notes.get(name, ""), hits.get(name))
        for name, value in values.items()
    }
    if rare := rare_emotions_note(counts.sum(1), names):
        estimates |= {name: without_interval(estimates[name], rare) for name in MEANS_OVER_EMOTIONS}
    return estimates


def _top2_estimate(
    target: np.ndarray, probs: np.ndarray, resamples: int, rng: np.random.Generator
) -> Estimate:
    n, counts = len(target), top2_counts(target, probs)
    hits = int(counts[:, 0].sum())
    note = "there are only two emotions" if probs.shape[1] <= 2 else ""
    draws = resample_counts(counts, resamples, rng)[..., 0].sum(1) / n
    return estimate_from_resamples(hits / n, draws, n, note, (hits, n))


def _undefined_note(counts: np.ndarray, k: int, name: str) -> str:
    """Return why a score of emotion ``k`` may be undefined, or ``""``."""
    if counts[k].sum() == 0:
        return f"no image of {name}"
    return f"{name} was never predicted" if counts[:, k].sum() == 0 else ""
