"""A recipe over several seeds: mean, deviation and Student's interval of each score."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from fer.analysis.figure import Figure
from fer.analysis.intervals import Z95, ends_of
from fer.analysis.paired import total_half

_NONE = Figure(None, None, None, 0)


@dataclass(frozen=True)
class Spread:
    """A score over several trainings that differ in the seed alone.

    Attributes:
        mean: Over the seeds; None where no seed has the score.
        deviation: Sample standard deviation (divided by n - 1); None with fewer than two seeds.
        low: Lower end of the 95 % t-interval of the mean; None with fewer than two seeds.
        high: Upper end.
        total_low: Lower end where the images are drawn anew too; None with fewer than two seeds, and where
            no seed has an interval over images.
        total_high: Upper end.
        n: Seeds that have the score.
        values: Of each of them, in their order.
        note: What a reader must know.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    total_low: float | None
    total_high: float | None
    n: int
    values: tuple[float, ...]
    note: str = ""


def over_seeds(scores: Sequence[Mapping[str, Figure]]) -> dict[str, Spread]:
    """Put the scores of several seeds together.

    The interval is of the mean over all seeds, on these very images: mean +- t * deviation / sqrt(n), Student
    1908 (https://doi.org/10.2307/2331554). It takes scores over seeds as normal, and says nothing of other
    images. The total interval does: to the variance of the mean it adds that over images, taken from the
    seeds' own intervals as if the same images were hard for all, with Satterthwaite's degrees of freedom.
    Both end where the score's range does.

    Args:
        scores: What `fer.analysis.scores.score` returned for each seed, one or more.
    """
    names = dict.fromkeys(name for seed in scores for name in seed)
    return {name: _spread(name, [seed.get(name, _NONE) for seed in scores]) for name in names}


def _spread(name: str, figures: Sequence[Figure]) -> Spread:
    found = [figure.value for figure in figures]
    values = tuple(value for value in found if value is not None)
    n, missing = len(values), len(found) - len(values)
    note = f"not defined for {missing} of {len(found)} seeds" if missing else ""
    if n < 2:
        note = "; ".join(filter(None, (note, "fewer than two seeds have no interval")))
        return Spread(values[0] if values else None, None, None, None, None, None, n, values, note)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    total = _total_half(figures, deviation**2 / n, n - 1)
    if total is None:
        reasons = (figure.note for figure in figures if figure.value is not None)
        note = "; ".join(dict.fromkeys(filter(None, (note, *reasons))))
    least, most = ends_of(name)
    low, high, total_low, total_high = (
        None if reach is None else min(max(mean + sign * reach, least), most)
        for reach in (half, total)
        for sign in (-1, 1)
    )
    return Spread(mean, deviation, low, high, total_low, total_high, n, values, note)


def _total_half(figures: Sequence[Figure], by_seeds: float, freedom: int) -> float | None:
    """Return half of the interval over seeds and images; None where there is none over images."""
    halves = [(figure.high - figure.low) / 2 for figure in figures
              if figure.low is not None and figure.high is not None]  # fmt: skip
    if not halves:
        return None
    by_images = statistics.fmean((half / Z95) ** 2 for half in halves)
    return total_half(by_images, by_seeds, freedom)
