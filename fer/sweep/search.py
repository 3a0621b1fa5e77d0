"""Samplers and pruners of a sweep, by name."""

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

# Optuna's steps in a whole schedule. A trial reports at ceil(1000 * fraction of its schedule), so that
# trials of different lengths can be compared.
SCHEDULE_STEPS = 1000


def step_at(fraction: float) -> int:
    """Return the Optuna step at which a fraction of the schedule is done."""
    return math.ceil(fraction * SCHEDULE_STEPS - 1e-9)


def build_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Build the sampler of one trial.

    Its seed depends on the sweep's seed and the trial's number. So parallel workers draw different values,
    and a resumed sweep draws the values that it would have drawn without the interruption.

    Args:
        name: ``tpe`` (Watanabe 2023, https://arxiv.org/abs/2304.11127), ``random``, or ``grid``, whose values
            are enqueued with its trials.
        seed: Seed of the sweep.
        number: Number of the trial.
    """
    trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name != "tpe":
        return RandomSampler(trial_seed)
    # multivariate: models learning rate and weight decay jointly; group: each optimizer has its own
    # parameters; constant_liar: keeps away from trials that are running elsewhere
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(multivariate=True, group=True, constant_liar=True, seed=trial_seed)


def build_pruner(options: Mapping[str, Any]) -> BasePruner:
    """Build a pruner from ``sweep.pruner``.

    ``asha`` is asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934);
    ``hyperband`` runs several of these with different first rungs (Li et al. 2018,
    https://arxiv.org/abs/1603.06560); ``median`` is the median rule of Golovin et al. 2017 (Google Vizier).
    """
    # rounded down, while a report is rounded up: an epoch that ends on a rung counts for it
    first = max(1, math.floor(options["min_share"] * SCHEDULE_STEPS))
    if options["name"] == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=options["reduction"])
    if options["name"] == "hyperband":
        return HyperbandPruner(first, SCHEDULE_STEPS, options["reduction"])
    if options["name"] == "median":
        return ScheduleMedianPruner(first, options["startup_trials"])
    return NopPruner()


class ScheduleMedianPruner(BasePruner):
    """Prune trials below the median of the others at the same fraction of their schedules.

    Optuna's median pruner compares at equal steps only, and trials with 10 and with 12 epochs share none.
    Here the value of another trial at a fraction is its last report up to there. A trial is judged by its
    best report.

    Args:
        first: Step before which nothing is pruned.
        startup_trials: Number of trials that must have completed before any is pruned.
    """

    def __init__(self, first: int, startup_trials: int) -> None:
        self.first, self.startup_trials = first, startup_trials

    def prune(self, study: "Study", trial: "FrozenTrial") -> bool:
        """Return whether the trial should be pruned."""
        step = trial.last_step
        if step is None or step < self.first:
            return False
        others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [value for other in others if (value := _value_at(other, step)) is not None]
        if len(values) < self.startup_trials:
            return False
        reports = _reports(trial).values()
        if study.direction == StudyDirection.MAXIMIZE:
            return bool(max(reports, default=-math.inf) < np.median(values))
        return bool(min(reports, default=math.inf) > np.median(values))


def _value_at(trial: "FrozenTrial", step: int) -> float | None:
    earlier = {other: value for other, value in _reports(trial).items() if other <= step}
    return earlier[max(earlier)] if earlier else None


def _reports(trial: "FrozenTrial") -> dict[int, float]:
    """Return step -> value of a trial's reports, without NaN."""
    return {step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)}
