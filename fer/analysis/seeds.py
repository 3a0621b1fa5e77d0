"""Scores of a recipe over several seeds: mean, standard deviation and t interval."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from fer.analysis.figure import Estimate, join_notes
from fer.analysis.intervals import Z95, metric_range
from fer.analysis.paired import half_width

_MISSING = Estimate(None, None, None, 0)


@dataclass(frozen=True)
class SeedSummary:
    """A score over training runs that differ only in the seed. The field names are keys of metrics.json.

    Attributes:
        mean: Mean over the seeds; None where no seed has the score.
        deviation: Sample standard deviation (ddof = 1); None with fewer than two seeds.
        low: Lower end of the 95 % t-interval of the mean; None with fewer than two seeds.
        high: Upper end.
        total_low: Lower end of the interval over seeds and images; None with fewer than two seeds, and where
            no seed has an interval over images.
        total_high: Upper end.
        n: Number of seeds that have the score.
        values: The score of each of them, in their order.
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


def summarize_seeds(scores: Sequence[Mapping[str, Estimate]]) -> dict[str, SeedSummary]:
    """Summarise the scores of several seeds.

    The interval is for the mean over seeds on the same images: mean +- t * deviation / sqrt(n), Student 1908
    (https://doi.org/10.2307/2331554). It assumes that scores are normal over seeds, and does not cover other
    images. The total interval does: it adds the variance over images to that of the mean, with
    Satterthwaite's degrees of freedom. The variance over images comes from the interval of each seed and is
    taken as fully correlated between seeds. Both intervals are clipped to the range of the score.

    Args:
        scores: As returned by `fer.analysis.scores.score`, for one seed or more.
    """
    names = dict.fromkeys(name for seed in scores for name in seed)
    return {name: _summarize(name, [seed.get(name, _MISSING) for seed in scores]) for name in names}


def _summarize(name: str, estimates: Sequence[Estimate]) -> SeedSummary:
    values = tuple(estimate.value for estimate in estimates if estimate.value is not None)
    n, missing = len(values), len(estimates) - len(values)
    note = f"not defined for {missing} of {len(estimates)} seeds" if missing else ""
    if n < 2:
        note = join_notes(note, "no interval with fewer than two seeds")
        return SeedSummary(values[0] if values else None, None, None, None, None, None, n, values, note)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    total = _total_half_width(estimates, deviation**2 / n, n - 1)
    if total is None:
        reasons = (estimate.note for estimate in estimates if estimate.value is not None)
        note = join_notes(*dict.fromkeys((note, *reasons)))
    lowest, highest = metric_range(name)
    low, high, total_low, total_high = (
        None if width is None else min(max(mean + sign * width, lowest), highest)
        for width in (half, total)
        for sign in (-1, 1)
    )
    return SeedSummary(mean, deviation, low, high, total_low, total_high, n, values, note)


def _total_half_width(
    estimates: Sequence[Estimate], by_seeds: float, degrees_of_freedom: int
) -> float | None:
    """Return half the width of the interval over seeds and images; None where no seed has one over images."""
    halves = [
        (estimate.high - estimate.low) / 2
        for estimate in estimates
        if estimate.low is not None and estimate.high is not None
    ]
    if not halves:
        return None
    by_images = statistics.fmean((half / Z95) ** 2 for half in halves)
    return half_width(by_images, by_seeds, degrees_of_freedom)
