"""Recipes or runs against each other on the same images: order, figures, and a verdict on every pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from fer.analysis.common_images import Truth
from fer.analysis.count_scores import MEANS
from fer.analysis.exact_tests import holm, mcnemar
from fer.analysis.figure import Figure, rare_note
from fer.analysis.paired import (
    METRICS,
    Difference,
    Scores,
    SeedVariance,
    average,
    count_deciding,
    difference,
    measure,
    seed_spread,
)
from fer.analysis.verdict import LESS_IS_BETTER, is_shown, verdict


@dataclass(frozen=True)
class Entrant:
    """A recipe, or a single run, that takes part.

    Attributes:
        name: Short, of this entrant alone.
        members: Positions of its seeds among the models of a `Truth`.
        runs: Names of their runs.
        parameters: Of one model.
        megabytes: Of one checkpoint on disk.
        images_per_second: Of inference, or of training where that was not measured; ``None``: not known.
        fit_seconds: Training time, mean over seeds; ``None``: not known.
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
    """Two entrants on the same images.

    Attributes:
        names: Of A and B; A has the higher place in the table.
        differences: Metric -> A minus B.
        only: Images that A alone, and B alone, has right; ``None`` where one is a mean of seeds.
        mcnemar_p: Of McNemar's exact test; likewise.
        p: Of the metric that the comparison is about: McNemar's for accuracy where nothing was trained twice,
            else the interval's.
        p_holm: The same, corrected for all pairs (Holm).
        shown: Whether one of them is better.
        verdict: In words.
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
class Comparison:
    """Entrants in the order of the metric, best first; their figures; and all pairs of them."""

    metric: str
    images: int
    entrants: list[Entrant]
    figures: list[dict[str, Figure]]
    pairs: list[Pair]


def compare(truth: Truth, entrants: Sequence[Entrant], metric: str = "accuracy") -> Comparison:
    """Compare entrants under one set of labels.

    Args:
        truth: The images and what all models say of them.
        entrants: Two or more.
        metric: One of `METRICS`: of the order and the verdicts.
    """
    scores, n = _measure(truth), len(truth.target)
    sign = 1 if metric in LESS_IS_BETTER else -1
    order = sorted(entrants, key=lambda e: sign * scores[metric].value[list(e.members)].mean())
    seeds = {name: seed_spread(scores[name], [e.members for e in order]) for name in METRICS}
    figures = [
        {name: average(scores[name], list(e.members), n, seeds[name]) for name in METRICS} for e in order
    ]
    right = np.stack([table.argmax(1) == truth.target for table in truth.probs])
    meetings = list(combinations(order, 2))
    found = [_meet(a, b, scores, seeds, right, metric, len(meetings)) for a, b in meetings]
    corrected = holm([pair.p for pair in found])
    pairs = [_decide(pair, float(p), metric, n, len(found)) for pair, p in zip(found, corrected, strict=True)]
    return Comparison(metric, n, list(order), figures, pairs)


def _measure(truth: Truth) -> dict[str, Scores]:
    """Score all models; means over emotions have no interval where an emotion has a few images alone."""
    found = measure(truth.target, truth.probs)
    support = np.bincount(truth.target, minlength=len(truth.labels))
    why = rare_note(support, truth.labels.names)
    return found | {name: replace(found[name], no_interval=why) for name in MEANS}


def _meet(
    a: Entrant,
    b: Entrant,
    scores: Mapping[str, Scores],
    seeds: Mapping[str, SeedVariance],
    right: np.ndarray,
    metric: str,
    tests: int,
) -> Pair:
    """Compare two, as one of so many tests; the verdict follows when all p-values are known."""
    columns, rows = (list(a.members), list(b.members)), [right[list(e.members)] for e in (a, b)]
    telling = count_deciding(*rows)
    differences = {
        name: difference(
            scores[name],
            *columns,
            right.shape[1] if name in LESS_IS_BETTER else telling,
            seeds[name],
            tests,
        )
        for name in METRICS
    }
    p, only, exact = differences[metric].p, None, None
    if len(a.members) == len(b.members) == 1:
        only_a, only_b, exact = mcnemar(rows[0][0], rows[1][0])
        only = (only_a, only_b)
        if metric == "accuracy" and not seeds[metric].freedom:  # it knows of no seeds
            p = exact
    return Pair((a.name, b.name), differences, only, exact, p, p, False, "")


def _decide(pair: Pair, p: float, metric: str, n: int, tests: int) -> Pair:
    found = pair.differences[metric]
    words = verdict(pair.names, metric, found, p, n, tests)
    return replace(pair, p_holm=p, shown=is_shown(found, p), verdict=words)
