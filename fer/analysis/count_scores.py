"""Scores that follow from a confusion matrix alone, for one matrix or for a stack of resampled ones."""

from collections.abc import Sequence

import numpy as np

from fer.analysis.bootstrap import resample_counts
from fer.analysis.figure import Figure, measured, missing_note, rare_note, without_interval

MEANS = ("uar", "macro_f1")  # over emotions, each of which counts alike, however few its images
SHARES = ("precision", "recall", "f1")  # scores of an emotion


def confusion_counts(target: np.ndarray, preds: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the images of each true (rows) and predicted (columns) emotion, int64 ``(K, K)``."""
    cells = np.bincount(target * num_classes + preds, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def emotion_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of each emotion.

    Args:
        counts: ``(…, K, K)``, rows true, columns predicted.

    Returns:
        Score -> float64 ``(…, K)``, in [0, 1]. NaN where an emotion has no image; precision also where it was
        never predicted.
    """
    hits, support, predicted = _margins(counts)
    return {
        "precision": _ratio(hits, np.where(support > 0, predicted, 0)),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, np.where(support > 0, support + predicted, 0)),
    }


def overall_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of all images together.

    Args:
        counts: ``(…, K, K)``, rows true, columns predicted; at least one image.

    Returns:
        Score -> float64 ``(…,)``: ``accuracy``; ``uar`` (unweighted average recall, also called balanced
        accuracy); ``macro_f1`` and ``weighted_f1`` (means of F1, plain and by number of images);
        ``kappa`` (agreement beyond chance, Cohen 1960, https://doi.org/10.1177/001316446002000104; NaN
        where chance agrees on all). Means are over the emotions that have an image: predictions of one
        that has none lower the recall of the others, and have no F1 of their own.
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


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; NaN where the whole is 0."""
    nothing = np.full(np.broadcast_shapes(np.shape(part), np.shape(whole)), np.nan)
    return np.divide(part, whole, out=nothing, where=np.asarray(whole) > 0)


def top2_counts(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Count for each emotion the images where it is among the two most probable, and the others.

    Of equally probable emotions the first come first, as in ``argmax``.

    Returns:
        int64 ``(K, 2)``: among the two, not among them.
    """
    own = np.take_along_axis(probs, target[:, None], 1)
    earlier = np.arange(probs.shape[1]) < target[:, None]
    ahead = ((probs > own) | ((probs == own) & earlier)).sum(1)
    cells = np.bincount(2 * target + (ahead >= 2), minlength=2 * probs.shape[1])
    return cells.reshape(-1, 2)


def count_figures(
    target: np.ndarray, probs: np.ndarray, names: Sequence[str], resamples: int, rng: np.random.Generator
) -> dict[str, Figure]:
    """Return the scores that depend on the predicted emotions alone."""
    counts = confusion_counts(target, probs.argmax(1), len(names))
    draws = resample_counts(counts, resamples, rng)
    found = _overall_figures(counts, draws, names) | {"top2": _top2_figure(target, probs, resamples, rng)}
    values, resampled = emotion_scores(counts), emotion_scores(draws)
    for metric in SHARES:
        sizes = counts.sum(0 if metric == "precision" else 1)
        for k, name in enumerate(names):
            note = _why_undefined(counts, k, name)
            share = None if metric == "f1" else (int(counts[k, k]), int(sizes[k]))
            found[f"{metric}/{name}"] = measured(
                values[metric][k], resampled[metric][:, k], int(sizes[k]), note, share
            )
    return found


def _overall_figures(counts: np.ndarray, draws: np.ndarray, names: Sequence[str]) -> dict[str, Figure]:
    n, values, resampled = int(counts.sum()), overall_scores(counts), overall_scores(draws)
    notes = dict.fromkeys(("uar", "macro_f1", "weighted_f1"), missing_note(counts.sum(1), names))
    if np.isnan(values["kappa"]):
        notes["kappa"] = "all images are of one emotion and predicted so"
    shares = {"accuracy": (int(counts.trace()), n)}
    figures = {
        name: measured(float(value), resampled[name], n, notes.get(name, ""), shares.get(name))
        for name, value in values.items()
    }
    if rare := rare_note(counts.sum(1), names):
        figures |= {name: without_interval(figures[name], rare) for name in MEANS}
    return figures


def _top2_figure(target: np.ndarray, probs: np.ndarray, resamples: int, rng: np.random.Generator) -> Figure:
    n, counts = len(target), top2_counts(target, probs)
    hits = int(counts[:, 0].sum())
    note = "there are only two emotions" if probs.shape[1] <= 2 else ""
    return measured(hits / n, resample_counts(counts, resamples, rng)[..., 0].sum(1) / n, n, note, (hits, n))


def _why_undefined(counts: np.ndarray, k: int, name: str) -> str:
    if counts[k].sum() == 0:
        return f"no image of {name}"
    return f"{name} was never predicted" if counts[:, k].sum() == 0 else ""
