"""Samplers and pruners by name."""

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

STEPS = 1000  # of a whole schedule: a trial reports at ceil(1000 * share), so that lengths compare


def step_at(share: float) -> int:
    """Return the step at which a share of the schedule is done."""
    return math.ceil(share * STEPS - 1e-9)


def build_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Build the sampler of one trial.

    Its seed is made of the sweep's and the trial's number: so parallel workers do not draw the same, and a
    sweep that was stopped goes on as it would have.

    Args:
        name: ``tpe`` (Watanabe 2023, https://arxiv.org/abs/2304.11127), ``random``, or ``grid``, whose values
            are given to its trials beforehand.
        seed: Of the sweep.
        number: Of the trial.
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name != "tpe":
        return RandomSampler(own)
    # multivariate: learning rate and decay go together; group: each optimizer has its own parameters;
    # constant_liar: trials at work elsewhere are not tried again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(multivariate=True, group=True, constant_liar=True, seed=own)


def build_pruner(options: Mapping[str, Any]) -> BasePruner:
    """Build a pruner from ``sweep.pruner``.

    ``asha`` is successive halving without waiting (Li et al. 2020, https://arxiv.org/abs/1810.05934),
    ``hyperband`` several of these that begin to prune at different times (Li et al. 2018,
    https://arxiv.org/abs/1603.06560), ``median`` the rule of Golovin et al. 2017 (Google Vizier).
    """
    # rounded down where a report is rounded up: the epoch that ends on a rung is on it
    first = max(1, math.floor(options["min_share"] * STEPS))
    if options["name"] == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=options["reduction"])
    if options["name"] == "hyperband":
        return HyperbandPruner(first, STEPS, options["reduction"])
    if options["name"] == "median":
        return SharePruner(first, options["startup_trials"])
    return NopPruner()


class SharePruner(BasePruner):
    """Prune what is worse than the median of the others at the same share of their schedules.

    Optuna's own compares at equal steps only, and trials with 10 and with 12 epochs have none in common. Here
    another trial's value at a share is its last report up to there. A trial is judged by its best report.

    Args:
        first: Step before which nothing is pruned.
        startup_trials: Trials that must have ended before any is pruned.
    """

    def __init__(self, first: int, startup_trials: int) -> None:
        self.first, self.startup_trials = first, startup_trials

    def prune(self, study: "Study", trial: "FrozenTrial") -> bool:
        """Return whether the trial should end."""
        step = trial.last_step
        if step is None or step < self.first:
            return False
        others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [value for other in others if (value := _value_at(other, step)) is not None]
        if len(values) < self.startup_trials:
            return False
        own = _numbers(trial).values()
        if study.direction == StudyDirection.MAXIMIZE:
            return bool(max(own, default=-math.inf) < np.median(values))
        return bool(min(own, default=math.inf) > np.median(values))


def _value_at(trial: "FrozenTrial", step: int) -> float | None:
    reached = {other: value for other, value in _numbers(trial).items() if other <= step}
    return reached[max(reached)] if reached else None


def _numbers(trial: "FrozenTrial") -> dict[int, float]:
    """Return what a trial reported, without NaN."""
    return {step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)}
