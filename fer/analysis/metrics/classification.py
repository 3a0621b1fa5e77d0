"""Classification metrics of a split, with 95 % intervals.

`score` returns all of them. Metrics of counts (accuracy, F1, UAR, ...) come from the confusion matrix, with
intervals from the stratified bootstrap. AUROC has DeLong's interval (DeLong et al. 1988,
https://doi.org/10.2307/2531595). Metrics of probabilities are in `fer.analysis.metrics.calibration`.
"""

import math
from collections.abc import Sequence

import numpy as np

from fer.analysis.metrics.calibration import probability_estimates
from fer.analysis.metrics.estimate import (
    NO_VARIATION,
    Estimate,
    estimate_from_resamples,
    join_notes,
    missing_emotions_note,
    rare_emotions_note,
    without_interval,
)
from fer.analysis.metrics.intervals import Z95, resample_counts
from fer.core.errors import FerError

# Unweighted means over emotions: an emotion with a few images counts as much as any other
MEANS_OVER_EMOTIONS = ("uar", "macro_f1")
EMOTION_METRICS = ("precision", "recall", "f1")
# Bootstrap resamples
RESAMPLES = 2000
# Tolerance of the sum of a row of probabilities, in float32 or half precision
_SUM_TOLERANCE = 1e-3


def score(
    target: np.ndarray, probs: np.ndarray, names: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Return all metrics of a split.

    Args:
        target: int ``(N,)``, class numbers 0 to K - 1.
        probs: ``(N, K)``, rows sum to 1.
        names: The K emotions in the order of the columns.
        seed: Seed of the bootstrap; the same seed gives the same intervals.

    Returns:
        ``accuracy``, ``uar``, ``macro_f1``, ``weighted_f1``, ``kappa`` (see `overall_scores`); ``top2`` (the
        label is among the two most probable emotions); ``log_loss`` (mean negative log-likelihood, in nats);
        ``brier`` (0 to 2, summed over emotions; Brier 1950); ``ece_mass`` and ``ece_width`` (bins of equal
        mass and of equal width); ``auroc`` (mean over emotions, one against the rest); and
        ``precision/<emotion>``, ``recall/<emotion>``, ``f1/<emotion>``, ``auroc/<emotion>``.

    Raises:
        FerError: The arrays have mismatched shapes or are not valid labels and probabilities.
    """
    n, num_classes = len(target), len(names)
    if n == 0 or probs.shape != (n, num_classes):
        got = f"{n} targets and probabilities of shape {probs.shape}"
        raise FerError(f"Scores: expected one target and {num_classes} probabilities per image, got {got}.")
    if target.min() < 0 or target.max() >= num_classes:
        raise FerError(
            f"Scores: expected class numbers from 0 to {num_classes - 1}, got {target.min()} to "
            f"{target.max()}. Leave out images without a known emotion."
        )
    if not (np.abs(probs.sum(1, dtype=np.float64) - 1) < _SUM_TOLERANCE).all() or probs.min() < 0:
        raise FerError("Scores: expected probabilities that sum to 1 for each image. Pass softmax(logits).")
    return {
        **count_estimates(target, probs, names, resamples, np.random.default_rng([seed, 0])),
        **probability_estimates(target, probs, resamples, np.random.default_rng([seed, 1])),
        **auroc_estimates(target, probs, names),
    }


def accuracy_estimate(counts: np.ndarray) -> Estimate:
    """Return the accuracy of a confusion matrix, int ``(K, K)``, with the interval that `score` gives it."""
    draws = resample_counts(counts, RESAMPLES, np.random.default_rng([0, 0]))
    hits, n = int(counts.trace()), int(counts.sum())
    return estimate_from_resamples(hits / n, overall_scores(draws)["accuracy"], n, "", (hits, n))


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
            note = "" if counts[:, k].sum() else f"{name} was never predicted"
            note = note if counts[k].sum() else f"no image of {name}"
            hits = None if metric == "f1" else (int(counts[k, k]), int(sizes[k]))
            estimates[f"{metric}/{name}"] = estimate_from_resamples(
                values[metric][k], resampled[metric][:, k], int(sizes[k]), note, hits
            )
    return estimates


def _overall_estimates(counts: np.ndarray, draws: np.ndarray, names: Sequence[str]) -> dict[str, Estimate]:
    n, values, resampled = int(counts.sum()), overall_scores(counts), overall_scores(draws)
    notes = dict.fromkeys(("uar", "macro_f1", "weighted_f1"), missing_emotions_note(counts.sum(1), names))
    if np.isnan(values["kappa"]):
        notes["kappa"] = "all images have one emotion, and all predictions are that emotion"
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
    """Return the top-2 accuracy; equally probable emotions rank in column order, as in ``argmax``."""
    target_probs = np.take_along_axis(probs, target[:, None], 1)
    earlier = np.arange(probs.shape[1]) < target[:, None]
    ahead = ((probs > target_probs) | ((probs == target_probs) & earlier)).sum(1)
    # For each emotion, the number of images where it is among the two, and where it is not
    cells = np.bincount(2 * target + (ahead >= 2), minlength=2 * probs.shape[1])
    n, counts = len(target), cells.reshape(-1, 2)
    hits = int(counts[:, 0].sum())
    note = "there are only two emotions" if probs.shape[1] <= 2 else ""
    draws = resample_counts(counts, resamples, rng)[..., 0].sum(1) / n
    return estimate_from_resamples(hits / n, draws, n, note, (hits, n))


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
        where chance agrees on all). Means are over the emotions that have images. A prediction of an
        emotion without images counts as an error.
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


def auroc_estimates(target: np.ndarray, probs: np.ndarray, names: Sequence[str]) -> dict[str, Estimate]:
    """Return the AUROC of each emotion against the rest and their mean, with DeLong's intervals."""
    estimates, areas, influences = {}, [], []
    support = np.bincount(target, minlength=len(names))
    for k, name in enumerate(names):
        n = int(support[k])
        if n in (0, len(target)):
            note = f"all images are of {name}" if n else f"no image of {name}"
            estimates[f"auroc/{name}"] = Estimate(None, None, None, n, note)
            continue
        area, influence = auroc_with_influence(target == k, probs[:, k])
        areas.append(area)
        influences.append(influence)
        estimates[f"auroc/{name}"] = _area_estimate(area, influence, n)
    if not areas:
        return estimates | {"auroc": Estimate(None, None, None, len(target), "all images are of one emotion")}
    note, mean_influence = missing_emotions_note(support, names), np.mean(influences, axis=0)
    return estimates | {"auroc": _area_estimate(float(np.mean(areas)), mean_influence, len(target), note)}


def _area_estimate(area: float, influence: np.ndarray, n: int, note: str = "") -> Estimate:
    low, high = logit_interval(area, float(np.sqrt((influence**2).sum())))
    if np.isnan(low):
        return Estimate(area, None, None, n, join_notes(note, NO_VARIATION))
    return Estimate(area, low, high, n, note)


def auroc_with_influence(positive: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the AUROC and the influence of each image on it.

    The sum of the squared influences is DeLong's variance of the area. Influences that are averaged over
    emotions first give the variance of the mean area.

    Args:
        positive: bool ``(N,)``, with at least one positive and one negative.
        score: ``(N,)``, higher for positives.

    Returns:
        The area in [0, 1], and influences float64 ``(N,)``; NaN where one of the two classes has a single
        image.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    ranks, influence = _midranks(score), np.empty(len(score))
    for rows, others in ((positive, n), (~positive, m)):
        # For a positive: fraction of negatives below it. For a negative: fraction of positives below it
        influence[rows] = (ranks[rows] - _midranks(score[rows])) / others
    area = float(influence[positive].mean())
    influence[~positive] = 1 - influence[~positive]
    # With these factors, the squares of the deviations sum to the variance of their mean
    factors = [1 / math.sqrt(count * (count - 1)) if count > 1 else math.nan for count in (m, n)]
    return area, np.where(positive, *factors) * (influence - area)


def _midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, the mean rank for equal values."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


def logit_interval(area: float, deviation: float) -> tuple[float, float]:
    """Return a 95 % interval within (0, 1), symmetric in the logit of the area.

    Args:
        area: In [0, 1].
        deviation: Standard error of the area. Where it is 0 (e.g. for an area of 1) or NaN, both ends are
            NaN.
    """
    if not deviation > 0 or not 0 < area < 1:
        return math.nan, math.nan
    centre, half = math.log(area / (1 - area)), Z95 * deviation / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-x)) for x in (centre - half, centre + half))
    return low, high
