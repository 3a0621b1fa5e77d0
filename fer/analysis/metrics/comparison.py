"""Comparison of candidates (recipes or runs) on the same images: ranking, paired tests and conclusions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from fer.analysis.metrics.classification import MEANS_OVER_EMOTIONS
from fer.analysis.metrics.estimate import Estimate, rare_emotions_note, signed_number
from fer.analysis.metrics.hypothesis_tests import holm, mcnemar
from fer.analysis.metrics.matching import MatchedImages
from fer.analysis.metrics.paired import (
    ALPHA,
    METRICS,
    Difference,
    Scores,
    SeedVariance,
    count_discordant,
    mean_over_seeds,
    paired_difference,
    pooled_seed_variance,
    score_models,
)
from fer.core.errors import FerError, did_you_mean
from fer.core.text import with_interval

LOWER_IS_BETTER = frozenset({"log_loss"})
# With five discordant images, even 5 : 0 has a p-value of 0.06
MIN_DISCORDANT = 6


@dataclass(frozen=True)
class Candidate:
    """A recipe with its seeds, or a single run. The field names are keys of metrics.json.

    Attributes:
        name: Short and unique within the comparison.
        members: Positions of its seeds among the models of `MatchedImages`.
        runs: Names of their runs.
        parameters: Number of parameters of one model.
        megabytes: Size of one checkpoint on disk.
        images_per_second: Speed of inference, or of training where that was not measured; ``None`` where
            unknown.
        fit_seconds: Training time, mean over seeds; ``None`` where unknown.
    """

    name: str
    members: tuple[int, ...]
    runs: tuple[str, ...]
    parameters: int
    megabytes: float
    images_per_second: float | None
    fit_seconds: float | None


@dataclass(frozen=True)
class Pair:
    """Two candidates compared on the same images. The field names are keys of metrics.json.

    Attributes:
        names: Names of A and B; A ranks higher.
        differences: Metric -> A minus B.
        only: Number of images that only A, and only B, classifies correctly; ``None`` if A or B is a mean
            over seeds.
        mcnemar_p: p-value of McNemar's exact test; ``None`` likewise.
        p: p-value for the ranking metric: of McNemar's test for accuracy if every candidate has one seed,
            otherwise of `paired_difference`.
        p_holm: ``p`` corrected for all pairs (Holm).
        shown: Whether the difference is significant.
        verdict: The conclusion as text.
    """

    names: tuple[str, str]
    differences: dict[str, Difference]
    only: tuple[int, int] | None
    mcnemar_p: float | None
    p: float
    p_holm: float
    shown: bool
    verdict: str


@dataclass(frozen=True)
class RankedCandidates:
    """Candidates ranked by a metric, best first, with their estimates and all pairs of them.

    Attributes:
        labels: Name of the set of labels.
        estimates: Metric -> estimate, for each candidate.
    """

    labels: str
    metric: str
    images: int
    candidates: list[Candidate]
    estimates: list[dict[str, Estimate]]
    pairs: list[Pair]


def check_metric(metric: str) -> None:
    """Raise `FerError` for an unknown metric."""
    if metric not in METRICS:
        raise FerError(
            f"--metric {metric}: expected one of {', '.join(METRICS)}.{did_you_mean(metric, METRICS)}"
        )


def compare_candidates(
    images: MatchedImages, candidates: Sequence[Candidate], metric: str = "accuracy"
) -> RankedCandidates:
    """Compare candidates under one set of labels.

    Args:
        images: The images with their labels and the predictions of all models.
        candidates: Two or more.
        metric: One of `METRICS`, for the ranking and the conclusions.
    """
    scores, n = _score(images), len(images.target)
    sign = 1 if metric in LOWER_IS_BETTER else -1
    ranked = sorted(candidates, key=lambda c: sign * scores[metric].value[list(c.members)].mean())
    seeds = {name: pooled_seed_variance(scores[name], [c.members for c in ranked]) for name in METRICS}
    estimates = [
        {name: mean_over_seeds(scores[name], list(c.members), n, seeds[name]) for name in METRICS}
        for c in ranked
    ]
    correct = np.stack([table.argmax(1) == images.target for table in images.probs])
    matchups = list(combinations(ranked, 2))
    pairs = [_compare_pair(a, b, scores, seeds, correct, metric, len(matchups)) for a, b in matchups]
    corrected = holm([pair.p for pair in pairs]).tolist()
    for i, (pair, p) in enumerate(zip(pairs, corrected, strict=True)):
        difference = pair.differences[metric]
        verdict = conclusion(pair.names, metric, difference, p, n, len(pairs))
        pairs[i] = replace(pair, p_holm=p, shown=is_significant(difference, p), verdict=verdict)
    return RankedCandidates(images.name, metric, n, ranked, estimates, pairs)


def _score(images: MatchedImages) -> dict[str, Scores]:
    """Score all models; means over emotions get no interval where an emotion has only a few images."""
    scores = score_models(images.target, images.probs)
    support = np.bincount(images.target, minlength=len(images.labels))
    reason = rare_emotions_note(support, images.labels.names)
    return scores | {name: replace(scores[name], no_interval=reason) for name in MEANS_OVER_EMOTIONS}


def _compare_pair(
    a: Candidate,
    b: Candidate,
    scores: Mapping[str, Scores],
    seeds: Mapping[str, SeedVariance],
    correct: np.ndarray,
    metric: str,
    tests: int,
) -> Pair:
    """Compare two candidates as one of ``tests`` pairs, without corrected p and conclusion."""
    columns, rows = (list(a.members), list(b.members)), [correct[list(c.members)] for c in (a, b)]
    discordant = count_discordant(*rows)
    deciding = {name: correct.shape[1] if name in LOWER_IS_BETTER else discordant for name in METRICS}
    differences = {
        name: paired_difference(scores[name], *columns, deciding[name], seeds[name], tests)
        for name in METRICS
    }
    p, only, exact = differences[metric].p, None, None
    if len(a.members) == len(b.members) == 1:
        only_a, only_b, exact = mcnemar(rows[0][0], rows[1][0])
        only = (only_a, only_b)
        # McNemar's test does not account for the variance over seeds
        if metric == "accuracy" and not seeds[metric].degrees_of_freedom:
            p = exact
    return Pair((a.name, b.name), differences, only, exact, p, p, False, "")


def is_significant(difference: Difference, p: float) -> bool:
    """Return whether a difference is significant, by its interval and by its corrected ``p``."""
    excludes_zero = difference.low > 0 or difference.high < 0
    return excludes_zero and p < ALPHA and difference.deciding >= MIN_DISCORDANT


def format_difference(metric: str, value: float, signed: bool = False) -> str:
    """Return a difference in percentage points, or in nats for the log loss, without the unit."""
    scaled, digits = (value, 3) if metric in LOWER_IS_BETTER else (100 * value, 1)
    return signed_number(scaled, digits) if signed else f"{scaled:z.{digits}f}"


def format_signed(metric: str, difference: Difference, unit: str = "") -> str:
    """Return a difference with its sign, a unit and its interval, ``+1.2 points [+0.3, +2.1]``."""
    low, high = (None, None) if difference.no_interval else (difference.low, difference.high)
    return with_interval(difference.value, low, high, partial(format_difference, metric, signed=True), unit)


def conclusion(
    names: tuple[str, str], metric: str, difference: Difference, p: float, n: int, tests: int = 1
) -> str:
    """Return the conclusion on two candidates as one or more sentences.

    Args:
        names: Names of A and B.
        metric: One of `fer.analysis.metrics.paired.METRICS`.
        difference: A minus B.
        p: Its p-value, corrected where several pairs were tested.
    """
    unit = " nats" if metric in LOWER_IS_BETTER else " points"
    undecided = f"No significant difference between {names[0]} and {names[1]} on {n:,} images"
    if difference.no_interval:
        return f"{undecided}: {format_signed(metric, difference, unit)}, {difference.no_interval}."
    if not is_significant(difference, p):
        text = f"{undecided}: {format_signed(metric, difference, unit)}."
        if difference.low > 0 or difference.high < 0:
            text += f" {_why_not_significant(p, tests)}"
        if difference.detectable > 0 and difference.deciding >= MIN_DISCORDANT:
            detectable = f"{format_difference(metric, difference.detectable)}{unit}"
            text += f" A true difference of {detectable} would be detected with 80 % power."
        return text
    better, worse = names if (difference.value > 0) != (metric in LOWER_IS_BETTER) else names[::-1]
    low, high = sorted((abs(difference.low), abs(difference.high)))
    size = with_interval(abs(difference.value), low, high, partial(format_difference, metric), unit)
    return f"{better} is better than {worse} by {size}."


def _why_not_significant(p: float, tests: int) -> str:
    """Return why a difference whose interval excludes 0 is not significant."""
    if p < ALPHA:
        return f"Fewer than {MIN_DISCORDANT} images are discordant."
    if tests > 1:
        return f"It is not significant after the correction for {tests} pairs (corrected p = {p:.2f})."
    return f"The exact test does not confirm it (p = {p:.2f})."
