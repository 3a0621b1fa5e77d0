"""The ranking of a sweep's trials, and of recipes over seeds: trials that differ in their seed only."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.sweep.objectives import directions, objectives_of


@dataclass(frozen=True)
class Recipe:
    """Overrides without their seed, with the measured trials that have them.

    Attributes:
        words: The overrides.
        trials: At least one.
        mean: Mean of the objective over the trials.
        sd: Standard deviation over the trials, with n - 1; None for a single trial.
    """

    words: list[str]
    trials: list[FrozenTrial]
    mean: float
    sd: float | None


def words_of(trial: FrozenTrial) -> list[str]:
    """Return the overrides that a trial was composed with."""
    stored = trial.user_attrs.get("words")
    if stored is not None:
        return list(stored)
    return [f"{name.partition('[')[0]}={value}" for name, value in trial.params.items()]


def is_measured(trial: FrozenTrial) -> bool:
    """Return whether a trial has finished and its objective was measured."""
    is_finished = trial.state == TrialState.COMPLETE and trial.value is not None
    return is_finished and not trial.user_attrs.get("unmeasured")


def ranked(trials: Sequence[FrozenTrial], sign: int) -> list[FrozenTrial]:
    """Return the measured trials, best first.

    Equal ones are ordered by the further objectives of the sweep, if it has any, and then by number.

    Args:
        trials: Trials of a sweep.
        sign: 1 if a higher objective is better, else -1.
    """
    return sorted(
        filter(is_measured, trials), key=lambda trial: (-sign * (trial.value or 0.0), *_further(trial))
    )


def _further(trial: FrozenTrial) -> list[float]:
    """Return the objectives of a trial after the first one, signed so that lower is better."""
    names, values = [*objectives_of(trial)][1:], [*objectives_of(trial).values()][1:]
    signs = [1 if item == StudyDirection.MINIMIZE else -1 for item in directions(names)]
    return [sign * value for sign, value in zip(signs, values, strict=True)]


def recipes(trials: Sequence[FrozenTrial], sign: int) -> list[Recipe]:
    """Return the recipes over seeds, best mean first; those without any measured trial are left out.

    Args:
        trials: Trials of a sweep.
        sign: 1 if a higher objective is better, else -1.
    """
    groups: dict[tuple[str, ...], list[FrozenTrial]] = {}
    for trial in filter(is_measured, trials):
        groups.setdefault(tuple(without_seed(words_of(trial))), []).append(trial)
    found = [_recipe(list(words), members) for words, members in groups.items()]
    return sorted(found, key=lambda recipe: -sign * recipe.mean)


def _recipe(words: list[str], trials: list[FrozenTrial]) -> Recipe:
    values = [trial.value or 0.0 for trial in trials]
    sd = statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else None
    return Recipe(words, trials, statistics.fmean(values), sd)


def without_seed(words: Sequence[str]) -> list[str]:
    """Return overrides without that of the seed."""
    return [word for word in words if not word.startswith("seed=")]


def have_seeds(found: Sequence[Recipe]) -> bool:
    """Return whether any recipe was trained with several seeds."""
    return any(len(recipe.trials) > 1 for recipe in found)


def failures(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the failed trials whose overrides no later trial was given."""
    last = {tuple(words_of(trial)): trial.number for trial in trials if "words" in trial.user_attrs}
    return [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL and last.get(tuple(words_of(trial)), trial.number) == trial.number
    ]
