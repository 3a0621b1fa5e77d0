"""Area under the ROC curve of each emotion against the rest, with DeLong's interval.

DeLong et al. 1988 (https://doi.org/10.2307/2531595), computed from ranks as in Sun and Xu 2014
(https://doi.org/10.1109/LSP.2014.2337313): exact, without resampling.
"""

import math
from collections.abc import Sequence

import numpy as np

from fer.analysis.figure import NO_VARIATION, Estimate, join_notes, missing_emotions_note
from fer.analysis.intervals import Z95


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
    weight = np.where(positive, _weight(m), _weight(n))
    return area, weight * (influence - area)


def _weight(count: int) -> float:
    """Return the factor of deviations with which their squares sum to the variance of a mean."""
    return 1 / math.sqrt(count * (count - 1)) if count > 1 else math.nan


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
    return estimates | {
        "auroc": _mean_area(areas, influences, len(target), missing_emotions_note(support, names))
    }


def _mean_area(areas: list[float], influences: list[np.ndarray], n: int, note: str) -> Estimate:
    return _area_estimate(float(np.mean(areas)), np.mean(influences, axis=0), n, note)


def _area_estimate(area: float, influence: np.ndarray, n: int, note: str = "") -> Estimate:
    low, high = logit_interval(area, float(np.sqrt((influence**2).sum())))
    if np.isnan(low):
        return Estimate(area, None, None, n, join_notes(note, NO_VARIATION))
    return Estimate(area, low, high, n, note)
