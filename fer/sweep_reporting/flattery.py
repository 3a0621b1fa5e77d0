"""By how much the best of many trials was flattered by luck.

The value that a trial was chosen by is the largest of many, each with a chance of its own (seed, order of the
images), so it is expected to lie above what its recipe reaches on average. Runs of the same recipe over new
seeds were not chosen by anything; the difference to their mean is what the choice had added. Both are
measured on the same validation split: luck of the images stays in both, and in neither figure for new people.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Flattery:
    """The search's value of a recipe against its runs over new seeds.

    Attributes:
        searched: The value it was chosen by.
        mean: Over the new seeds.
        value: How much better the search made it look; above 0 it flattered.
        low: Lower end of the 95 % interval of ``value``; None with a single run of each recipe.
        high: Upper end.
        seeds: How many.
    """

    searched: float
    mean: float
    value: float
    low: float | None
    high: float | None
    seeds: int


def flattery(searched: Sequence[float], values: Sequence[Sequence[float]], sign: int) -> list[Flattery]:
    """Compare what a search said with runs over new seeds.

    The interval is a t-interval of the mean over seeds. Its variance is pooled over the recipes, which holds
    if seeds scatter alike under each: three seeds alone say little about their spread.

    Args:
        searched: Of each recipe, the value it was chosen by.
        values: Of each recipe, those over new seeds.
        sign: 1 where more is better, else -1.
    """
    freedom = sum(len(seeds) - 1 for seeds in values)
    squares = sum((value - statistics.mean(seeds)) ** 2 for seeds in values for value in seeds)
    found = []
    for before, seeds in zip(searched, values, strict=True):
        mean = statistics.mean(seeds)
        difference = sign * (before - mean)
        low = high = None
        if freedom:
            reach = float(stdtrit(freedom, 0.975)) * math.sqrt(squares / freedom / len(seeds))
            low, high = difference - reach, difference + reach
        found.append(Flattery(before, mean, difference, low, high, len(seeds)))
    return found
