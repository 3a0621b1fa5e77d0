"""The selection bias of the best of many trials, estimated from its recipe's runs over new seeds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class SelectionBias:
    """The value of a recipe in the search, compared with its runs over new seeds.

    Attributes:
        searched: The value that it was selected by.
        mean: Mean over the new seeds.
        value: How much better the value in the search is; above 0 the search was too optimistic.
        low: Lower limit of the 95 % interval of ``value``; None if no recipe has two runs.
        high: Upper limit.
        seeds: Number of new seeds.
    """

    searched: float
    mean: float
    value: float
    low: float | None
    high: float | None
    seeds: int


def selection_bias(
    searched: Sequence[float], values: Sequence[Sequence[float]], sign: int
) -> list[SelectionBias]:
    """Return the selection bias of each recipe.

    The value that a trial was selected by is the largest of many, so it is expected to be above what the
    recipe reaches on average. Runs over new seeds were not selected; the difference to their mean is the
    bias. Both are measured on the same validation split, whose sampling noise stays in both.

    The interval is a t-interval of the mean over seeds. Its variance is pooled over the recipes, which
    assumes the same variance over seeds for each: three seeds alone say little about it.

    Args:
        searched: For each recipe, the value that it was selected by.
        values: For each recipe, the values over new seeds.
        sign: 1 if higher is better, else -1.
    """
    degrees_of_freedom = sum(len(seeds) - 1 for seeds in values)
    squares = sum((value - statistics.mean(seeds)) ** 2 for seeds in values for value in seeds)
    biases = []
    for before, seeds in zip(searched, values, strict=True):
        mean = statistics.mean(seeds)
        difference = sign * (before - mean)
        low = high = None
        if degrees_of_freedom:
            error = math.sqrt(squares / degrees_of_freedom / len(seeds))
            half_width = float(stdtrit(degrees_of_freedom, 0.975)) * error
            low, high = difference - half_width, difference + half_width
        biases.append(SelectionBias(before, mean, difference, low, high, len(seeds)))
    return biases
