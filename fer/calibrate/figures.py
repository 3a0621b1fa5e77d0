"""Figures of a calibration, before and after: accuracy, log loss, calibration error and coverage.

Intervals are from a bootstrap of whole groups of images (a person, near copies), because the images of a
group are not independent (Field and Welsh 2007, https://doi.org/10.1111/j.1467-9868.2007.00593.x).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.calibration import (
    NUM_BINS,
    bin_gaps,
    confidence_and_correct,
    ece_interval,
    equal_mass_bins,
)
from fer.analysis.metrics.classification import RESAMPLES, overall_scores
from fer.analysis.metrics.estimate import Estimate, estimate_from_resamples

# Metrics of counts of predictions, of `overall_scores`.
_OF_COUNTS = ("accuracy", "macro_f1", "uar")
# Of which the difference is estimated too.
DIFFERENCES = ("accuracy", "log_loss")
# Fraction of the predictions that are certain, and the accuracy of these.
COVERAGE, CERTAIN_ACCURACY = "coverage", "selective_accuracy"
# Counts of drawn groups that are in memory at a time.
_MAX_DRAWS = 5_000_000


@dataclass(frozen=True)
class Answers:
    """The answers of a model to N images.

    Attributes:
        probs: ``(N, K)``.
        certain: bool ``(N,)``, whether the confidence reaches the threshold.
    """

    probs: np.ndarray
    certain: np.ndarray


@dataclass(frozen=True)
class Figures:
    """Metrics before and after, and the difference, after minus before, of `DIFFERENCES`."""

    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    difference: Mapping[str, Estimate]


def compare_answers(target: np.ndarray, groups: np.ndarray, before: Answers, after: Answers) -> Figures:
    """Return the figures of two models for the same images.

    Args:
        target: int ``(N,)``.
        groups: int ``(N,)``, equal for images that belong together.
        before: The answers of one model.
        after: Those of the other.
    """
    n, members = len(target), np.unique(groups, return_inverse=True)[1]
    sides = [_Columns(target, answers) for answers in (before, after)]
    columns = np.column_stack([*(side.values for side in sides), np.ones(n)])
    sums = np.zeros((int(members.max()) + 1, columns.shape[1]))
    np.add.at(sums, members, columns)
    *parts, drawn = np.split(_resampled_totals(sums), [(columns.shape[1] - 1) // 2, -1], axis=1)
    values = [side.metrics(side.values.sum(0)[None], np.array([[n]])) for side in sides]
    draws = [side.metrics(part, drawn) for side, part in zip(sides, parts, strict=True)]
    estimates = [
        side.estimates(value, draw, part / drawn, n)
        for side, value, draw, part in zip(sides, values, draws, parts, strict=True)
    ]
    difference = {
        name: estimate_from_resamples(
            float(values[1][name][0] - values[0][name][0]), draws[1][name] - draws[0][name], n
        )
        for name in DIFFERENCES
    }
    return Figures(estimates[0], estimates[1], difference)


def _resampled_totals(sums: np.ndarray) -> np.ndarray:
    """Return the totals of columns in each resample of groups, ``(R, M)``; ``sums`` is ``(G, M)``."""
    rng, groups = np.random.default_rng(0), len(sums)
    chunk = max(1, _MAX_DRAWS // groups)
    chunks = [min(chunk, RESAMPLES - start) for start in range(0, RESAMPLES, chunk)]
    share = np.full(groups, 1 / groups)
    return np.concatenate([rng.multinomial(groups, share, size) @ sums for size in chunks])


class _Columns:
    """Values of each image of which sums are taken, ``(N, M)``, and the metrics of these sums."""

    def __init__(self, target: np.ndarray, answers: Answers) -> None:
        probs, rows = answers.probs.astype(np.float64), np.arange(len(target))
        confidence, correct = confidence_and_correct(probs, target)
        self.classes = probs.shape[1]
        cells = np.zeros((len(target), self.classes**2))
        cells[rows, target * self.classes + probs.argmax(1)] = 1
        self._bins = equal_mass_bins(confidence)
        gaps = np.zeros((len(target), NUM_BINS))
        gaps[rows, self._bins] = confidence - correct
        self._gaps = bin_gaps(confidence, correct, self._bins)
        loss = -np.log(np.maximum(probs[rows, target], np.finfo(np.float64).eps))
        certain = answers.certain
        self.values = np.column_stack([loss, certain, certain & correct, gaps, cells])

    def metrics(self, totals: np.ndarray, n: np.ndarray) -> dict[str, np.ndarray]:
        """Return metrics of sums ``(R, M)`` over ``n`` images ``(R, 1)``: ``(R,)`` each."""
        loss, certain, hits = totals[:, :3].T
        counts = totals[:, 3 + NUM_BINS :].reshape(-1, self.classes, self.classes)
        scores = overall_scores(counts)
        accuracy = np.divide(hits, certain, out=np.full(len(hits), np.nan), where=certain > 0)
        return {name: scores[name] for name in _OF_COUNTS} | {
            "log_loss": loss / n[:, 0],
            "ece_mass": np.abs(totals[:, 3 : 3 + NUM_BINS] / n).sum(1),
            COVERAGE: certain / n[:, 0],
            CERTAIN_ACCURACY: accuracy,
        }

    def estimates(
        self, values: Mapping[str, np.ndarray], draws: Mapping[str, np.ndarray], means: np.ndarray, n: int
    ) -> dict[str, Estimate]:
        """Return the metrics with their intervals."""
        result = {}
        for name, value in values.items():
            if name == "ece_mass":
                low, high = ece_interval(float(value[0]), self._gaps, means[:, 3 : 3 + NUM_BINS])
                result[name] = Estimate(float(value[0]), low, high, n)
            else:
                note = "no certain prediction" if np.isnan(value[0]) else ""
                result[name] = estimate_from_resamples(float(value[0]), draws[name], n, note)
        return result
