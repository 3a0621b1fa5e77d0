"""A recipe over several seeds: mean, deviation and Student's interval of each score."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from fer.analysis.figure import Figure


@dataclass(frozen=True)
class Spread:
    """A score over several trainings that differ in the seed alone.

    Attributes:
        mean: Over the seeds; None where no seed has the score.
        deviation: Sample standard deviation (divided by n - 1); None with fewer than two seeds.
        low: Lower end of the 95 % t-interval of the mean; None with fewer than two seeds.
        high: Upper end.
        n: Seeds that have the score.
        values: Of each of them, in their order.
        note: What a reader must know.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...]
    note: str = ""


def over_seeds(scores: Sequence[Mapping[str, Figure]]) -> dict[str, Spread]:
    """Put the scores of several seeds together.

    The interval is of the mean over all seeds, on these very images: mean +- t * deviation / sqrt(n), Student
    1908 (https://doi.org/10.2307/2331554). It takes scores over seeds as normal, and says nothing of other
    images: that is what the interval of each seed's own figure is for.

    Args:
        scores: What `fer.analysis.scores.score` returned for each seed, one or more.
    """
    names = dict.fromkeys(name for seed in scores for name in seed)
    return {name: _spread([seed[name].value if name in seed else None for seed in scores]) for name in names}


def _spread(found: Sequence[float | None]) -> Spread:
    values = tuple(value for value in found if value is not None)
    n, missing = len(values), len(found) - len(values)
    note = f"not defined for {missing} of {len(found)} seeds" if missing else ""
    if n < 2:
        note = "; ".join(filter(None, (note, "fewer than two seeds have no interval")))
        return Spread(values[0] if values else None, None, None, None, n, values, note)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    return Spread(mean, deviation, mean - half, mean + half, n, values, note)
