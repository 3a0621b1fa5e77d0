"""The plan of a sweep: the ``sweep`` node of the config, read and checked; its samplers and pruners."""

import math
import re
import secrets
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, field_validator

from fer.core.config import Config, Count, Fraction, Number, Part
from fer.core.errors import FerError
from fer.sweep.objectives import Constraints, check_not_training, check_objectives
from fer.sweep.space import Parameter, parse_space
from fer.sweep.storage import ADDRESS_FORMS, full_address
from fer.training.config import TrainerConfig
from fer.training.metrics import current_name

# 3^3, so that successive halving by 3 divides evenly.
DEFAULT_TRIALS = 27
# Optuna's steps in a complete schedule. A trial reports at ceil(1000 * fraction of its schedule), so that
# trials of different lengths can be compared.
SCHEDULE_STEPS = 1000


class PrunerConfig(Config):
    """A pruner.

    Attributes:
        name: Which one; see `build_pruner`.
        min_share: Fraction of its schedule that every trial may run.
        reduction: ``asha`` and ``hyperband``: one of so many trials continues.
        startup_trials: ``median``: number of complete trials before any is pruned.
    """

    key: ClassVar[str] = "sweep.pruner"
    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    min_share: Annotated[Number, Field(ge=0.001, le=1)] = 0.074
    reduction: Annotated[int, Field(ge=2)] = 3
    startup_trials: Count = 5


class SweepConfig(Config):
    """The ``sweep`` node of the config; see ``conf/sweep/custom.yaml``.

    Attributes:
        objective: The metric that is optimised, and that selects the checkpoint of each trial.
        objectives: Several, of which the first replaces `objective`; None for that one alone.
        n_trials: Number of trials; None for all points of a grid.
    """

    key: ClassVar[str] = "sweep"
    advice: ClassVar[Mapping[str, str]] = {"pruner": "Set sweep.pruner.name=…."}
    name: str | int
    storage: Annotated[str | None, Field(description=ADDRESS_FORMS)] = None
    resume: bool = False
    objective: str
    n_trials: Count | None = None
    objectives: list[str] | None = None
    constraints: Constraints = Field(default_factory=Constraints)
    sampler: Literal["tpe", "gp", "random", "grid"] = "tpe"
    pruner: PrunerConfig = Field(default_factory=PrunerConfig)
    seed: Annotated[int, Field(ge=0)] = 0
    jobs: Count | None = None
    max_failed_share: Fraction = 0.25
    min_failed: Count = 3
    keep_pruned: bool = False
    space: Any = None

    @field_validator("objective")
    @classmethod
    def _rename(cls, objective: str) -> str:
        return current_name(objective)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | int) -> str:
        if not re.fullmatch(r"\w[\w.-]*", str(name), re.ASCII):
            raise FerError(f"sweep.name: expected letters, digits, '.', '_' or '-', got {name!r}.")
        return str(name)


class Plan(SweepConfig):
    """The settings of a sweep with what depends on where it runs, for every process of the sweep.

    Attributes:
        is_grid: Whether each trial has its own overrides, in the storage, instead of values of ``space``.
        folder: ``outputs/multirun/<name>``, with one run folder for each trial number.
        address: Complete address of the storage.
        overrides: The overrides of the command line, with which every trial is composed.
        command: The overrides that give the config of ``overrides`` without a sweep.
        launch_overrides: Overrides of a config that can be composed, for the launcher.
        workers: Number of workers at a time.
        workers_per_machine: Number of workers that share the cores of a machine.
        session: Random ID of this start of the sweep, to recognise its workers.
    """

    @property
    def all_objectives(self) -> list[str]:
        """Return the names of the objectives, at least one."""
        return self.objectives or [self.objective]

    name: str
    is_grid: bool = False
    space: list[Parameter]
    folder: Path
    address: str
    overrides: list[str]
    command: list[str] = Field(default_factory=list)
    launch_overrides: list[str] = Field(default_factory=list)
    workers: int
    workers_per_machine: int
    session: str


def make_plan(
    config: SweepConfig, folder: Path, overrides: list[str], workers: int, workers_per_machine: int
) -> Plan:
    """Return the plan of a sweep.

    Args:
        config: The ``sweep`` node; without a space it is the plan of a grid.
        folder: The sweep's folder.
        overrides: The overrides of the command line that all trials share.
        workers: Number of workers at a time.
        workers_per_machine: Number of workers that share the cores of a machine.

    Raises:
        FerError: The space is invalid.
    """
    is_grid = config.space is None
    values = {
        **dict(config), "is_grid": is_grid, "space": [] if is_grid else parse_space(config.space),
        "folder": folder, "address": full_address(config.storage, folder), "overrides": overrides,
        "launch_overrides": overrides, "workers": workers, "workers_per_machine": workers_per_machine,
        "session": secrets.token_hex(4),
    }  # fmt: skip
    if config.objectives is not None:
        check_objectives(config.objectives)
        # Optuna cannot prune by several objectives.
        values |= {"objective": config.objectives[0], "pruner": {"name": "none"}}
    elif not is_grid:
        check_not_training(config.objective)
    if is_grid:
        # A grid asks for complete trainings of all its combinations.
        values |= {"pruner": {"name": "none"}, "sampler": "random"}
    elif config.n_trials is None and config.sampler != "grid":
        values["n_trials"] = DEFAULT_TRIALS
    return Plan.from_dict(values)


def align_first_rung(
    pruner: PrunerConfig, trainer: TrainerConfig, steps_per_epoch: int | None = None
) -> PrunerConfig:
    """Return the pruner with a ``min_share`` that is not before the first validation.

    Successive halving judges a trial on every rung that it has passed. If several rungs were before its first
    report, the trial would be judged on all of them by that one report.

    Args:
        pruner: As in the config.
        trainer: As in the config.
        steps_per_epoch: Largest number of optimizer steps in an epoch of any trial; None if it is not known,
            in which case ``max_steps`` is assumed not to end a trial before ``max_epochs``.
    """
    if trainer.val_check_interval is not None:
        return pruner
    epochs: float = trainer.max_epochs
    if steps_per_epoch and trainer.max_steps > 0:
        epochs = min(epochs, trainer.max_steps / steps_per_epoch)
    first = min(1.0, (trainer.check_val_every_n_epoch or 1) / epochs)
    return pruner.replace(min_share=max(pruner.min_share, first))


def step_at(fraction: float) -> int:
    """Return the Optuna step at which a fraction of the schedule is done."""
    return math.ceil(fraction * SCHEDULE_STEPS - 1e-9)


def build_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Build the sampler of one trial.

    The sampler's seed depends on the sweep's seed and the trial's number. So parallel workers draw different
    values, and a resumed sweep draws the values that it would have drawn without the interruption.

    Args:
        name: ``tpe`` (Watanabe 2023, https://arxiv.org/abs/2304.11127), ``gp`` (a Gaussian process, for few
            trials of few parameters), ``random``, or ``grid``, whose values are enqueued with its trials.
        seed: Seed of the sweep.
        number: Number of the trial.
    """
    trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "gp":
        # Conditional parameters are outside its model, and drawn independently.
        return GPSampler(seed=trial_seed, warn_independent_sampling=False)
    if name != "tpe":
        return RandomSampler(trial_seed)
    # multivariate models learning rate and weight decay jointly. group is for parameters that only some
    # optimizers have. constant_liar avoids values close to those of running trials.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(multivariate=True, group=True, constant_liar=True, seed=trial_seed)


def build_pruner(pruner: Part) -> BasePruner:
    """Build a pruner.

    ``asha`` is asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934);
    ``hyperband`` runs several of these with different first rungs (Li et al. 2018,
    https://arxiv.org/abs/1603.06560); ``median`` is the median rule of Golovin et al. 2017 (Google Vizier).
    """
    config = PrunerConfig.of(pruner)
    # Rounded down, while a report is rounded up, so that an epoch that ends on a rung counts for it.
    first = max(1, math.floor(config.min_share * SCHEDULE_STEPS))
    if config.name == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=config.reduction)
    if config.name == "hyperband":
        return HyperbandPruner(first, SCHEDULE_STEPS, config.reduction)
    if config.name == "median":
        return ScheduleMedianPruner(first, config.startup_trials)
    return NopPruner()


class ScheduleMedianPruner(BasePruner):
    """Prune trials below the median of the others at the same fraction of their schedules.

    Optuna's median pruner compares at equal steps only, and trials with 10 and with 12 epochs share none.
    Here the value of another trial at a fraction is its last report up to that fraction. A trial is judged by
    its best report.

    Args:
        first: Step before which nothing is pruned.
        startup_trials: Number of trials that must have completed before any is pruned.
    """

    def __init__(self, first: int, startup_trials: int) -> None:
        self.first, self.startup_trials = first, startup_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should be pruned."""
        step = trial.last_step
        if step is None or step < self.first:
            return False
        others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [value for other in others if (value := value_at(other, step)) is not None]
        if len(values) < self.startup_trials:
            return False
        reports = _reports(trial).values()
        if study.direction == StudyDirection.MAXIMIZE:
            return bool(max(reports, default=-math.inf) < np.median(values))
        return bool(min(reports, default=math.inf) > np.median(values))


def value_at(trial: FrozenTrial, step: int) -> float | None:
    """Return the last report of a trial up to a step; None if there is none."""
    earlier = {other: value for other, value in _reports(trial).items() if other <= step}
    return earlier[max(earlier)] if earlier else None


def _reports(trial: FrozenTrial) -> dict[int, float]:
    """Return step -> value of a trial's reports, without NaN."""
    return {step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)}
