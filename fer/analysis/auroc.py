"""Area under the ROC curve of each emotion against the rest, with DeLong's interval.

DeLong et al. 1988 (https://doi.org/10.2307/2531595), computed from ranks as in Sun and Xu 2014
(https://doi.org/10.1109/LSP.2014.2337313): exact, without a resample.
"""

import math
from collections.abc import Sequence

import numpy as np

from fer.analysis.figure import ALL_AGREE, Figure, missing_note
from fer.analysis.intervals import Z95


def auroc_parts(positive: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the area, and how far each image moves it.

    The sum of the squared influences is DeLong's variance of the area; added over emotions first, it is the
    variance of a sum of areas.

    Args:
        positive: bool ``(N,)``, of both kinds.
        score: ``(N,)``, higher for positives if the model is right.

    Returns:
        The area in [0, 1], and influences float64 ``(N,)``; NaN where one kind has a single image.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    among_all, influence = _midranks(score), np.empty(len(score))
    for rows, others in ((positive, n), (~positive, m)):
        # For a positive the share of negatives below it; for a negative the share of positives below it
        influence[rows] = (among_all[rows] - _midranks(score[rows])) / others
    area = float(influence[positive].mean())
    influence[~positive] = 1 - influence[~positive]
    weight = np.where(positive, _weight(m), _weight(n))
    return area, weight * (influence - area)


def _weight(count: int) -> float:
    """Return what turns a sum of squared deviations into the variance of a mean, as a factor of each."""
    return 1 / math.sqrt(count * (count - 1)) if count > 1 else math.nan


def _midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, the mean rank for equal values."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


def logit_interval(area: float, deviation: float) -> tuple[float, float]:
    """Return a 95 % interval that stays between 0 and 1: symmetric in the logit of the area.

    Args:
        area: In [0, 1].
        deviation: Standard error of the area. Where it is 0, as for an area of 1, or NaN: no interval (NaN).
    """
    if not deviation > 0 or not 0 < area < 1:
        return math.nan, math.nan
    centre, half = math.log(area / (1 - area)), Z95 * deviation / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-x)) for x in (centre - half, centre + half))
    return low, high


def auroc_figures(target: np.ndarray, probs: np.ndarray, names: Sequence[str]) -> dict[str, Figure]:
    """Return AUROC of each emotion against the rest and their mean, with DeLong's intervals."""
    found, areas, influences = {}, [], []
    support = np.bincount(target, minlength=len(names))
    for k, name in enumerate(names):
        n = int(support[k])
        if n in (0, len(target)):
            found[f"auroc/{name}"] = Figure(None, None, None, n, f"no image {'but ' * (n > 0)}of {name}")
            continue
        area, influence = auroc_parts(target == k, probs[:, k])
        areas.append(area)
        influences.append(influence)
        found[f"auroc/{name}"] = _area_figure(area, influence, n)
    if not areas:
        return found | {"auroc": Figure(None, None, None, len(target), "all images are of one emotion")}
    return found | {"auroc": _mean_area(areas, influences, len(target), missing_note(support, names))}


def _mean_area(areas: list[float], influences: list[np.ndarray], n: int, note: str) -> Figure:
    return _area_figure(float(np.mean(areas)), np.mean(influences, axis=0), n, note)


def _area_figure(area: float, influence: np.ndarray, n: int, note: str = "") -> Figure:
    low, high = logit_interval(area, float(np.sqrt((influence**2).sum())))
    if np.isnan(low):
        return Figure(area, None, None, n, "; ".join(filter(None, (note, ALL_AGREE))))
    return Figure(area, low, high, n, note)
