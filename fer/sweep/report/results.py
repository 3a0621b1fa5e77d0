"""The results of a sweep, read from its study: trials, values, commands that retrain them, and costs."""

import csv
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.analysis.metrics.estimate import signed_number
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.text import percent
from fer.sweep.compose import trial_folder
from fer.sweep.create import GRID_KIND
from fer.sweep.leaderboard import ranked, without_seed, words_of
from fer.sweep.objectives import COSTS, front, objectives_of, with_first_value
from fer.sweep.report.grid import add_grid_parameters, grid_values
from fer.sweep.storage import full_address, open_storage, saved_address, storage_file
from fer.training.metrics import current_name
from fer.training.run_folder import read_config
from fer.training.run_record import read_record

STATES = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}  # fmt: skip
# Metrics that are shown with four decimals instead of per cent.
_NOT_PERCENT = ("loss", "ece")

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class SweepResults:
    """A sweep that was started, finished or not.

    Attributes:
        name: Name of the study.
        folder: The sweep's folder, with one run folder for each trial number.
        study: In-memory copy of the study at one moment, so that a page is consistent.
        trials: All trials, by number; the value of each is that of the first objective.
        front: Numbers of the trials on the Pareto front; empty with one objective.
    """

    name: str
    folder: Path
    study: Study
    trials: list[FrozenTrial]
    front: list[int] = field(default_factory=list)

    @property
    def objective(self) -> str:
        """Return the metric that was optimised."""
        return current_name(self.study.user_attrs["search"]["objective"])

    @property
    def sign(self) -> int:
        """Return 1 if higher is better, else -1."""
        return 1 if self.study.direction == StudyDirection.MAXIMIZE else -1

    @property
    def objectives(self) -> list[str]:
        """Return the names of the objectives, at least one."""
        names = self.study.user_attrs["search"].get("objectives") or [self.objective]
        return [current_name(name) for name in names]

    def in_state(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in any of these states."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def ranking(self) -> list[FrozenTrial]:
        """Return the finished trials, best first, as `fer.sweep.leaderboard.ranked` orders them."""
        return ranked(self.trials, self.sign)

    @property
    def best_recipes(self) -> list[FrozenTrial]:
        """Return the best trial of each recipe, best first: trials that differ in their seed only are one."""
        first: dict[tuple[str, ...], FrozenTrial] = {}
        for trial in self.ranking:
            first.setdefault(tuple(without_seed(words_of(trial))), trial)
        return list(first.values())

    @property
    def is_grid(self) -> bool:
        """Return whether the trials are the combinations of a plain grid."""
        return self.study.user_attrs["search"].get("kind") == GRID_KIND

    @property
    def can_prune(self) -> bool:
        """Return whether trials may be pruned: not in a grid, nor with several objectives."""
        return not self.is_grid and len(self.objectives) == 1

    @property
    def measured(self) -> list[FrozenTrial]:
        """Return the finished and pruned trials that were measured at least once."""
        ended = self.in_state(TrialState.COMPLETE, TrialState.PRUNED)
        return [trial for trial in ended if trial.intermediate_values or objectives_of(trial)]

    def best_value(self, trial: FrozenTrial) -> float | None:
        """Return the best value that a trial reported; None if it reported none."""
        if objectives_of(trial):
            return trial.value
        values = trial.intermediate_values.values()
        return max(values, key=lambda value: self.sign * value, default=None)

    def count(self) -> dict[str, int]:
        """Return the number of trials in each state that occurs."""
        numbers = {name: len(self.in_state(state)) for state, name in STATES.items()}
        return {name: number for name, number in numbers.items() if number}

    @property
    def is_proxy(self) -> bool:
        """Return whether the trials were cheap proxies of full recipes."""
        return "full_command" in self.study.user_attrs

    def command(self, trial: FrozenTrial) -> str:
        """Return the command line that trains a trial again."""
        return shlex.join(["fer-train", *self.study.user_attrs["command"], *words_of(trial)])

    def full_overrides(self, trial: FrozenTrial) -> list[str]:
        """Return the overrides that train the full recipe of a trial, also if the trial was a proxy."""
        attrs = self.study.user_attrs
        return [*attrs.get("full_command", attrs["command"]), *words_of(trial)]

    def full_command(self, trial: FrozenTrial) -> str:
        """Return the command line that trains the full recipe of a trial."""
        return shlex.join(["fer-train", *self.full_overrides(trial)])


@dataclass(frozen=True)
class Cost:
    """The cost of one or more trainings.

    Attributes:
        images: Image passes: training images, counted each time they are seen; None if the run folder is
            missing.
        training: Training time in seconds (wall clock).
        overhead: Seconds before and after the training, which do not grow with it: reading data, building the
            network.
    """

    images: float | None
    training: float
    overhead: float

    @property
    def seconds(self) -> float:
        """Return the total time in seconds (wall clock)."""
        return self.training + self.overhead

    def scaled(self, factor: float) -> "Cost":
        """Return the cost of a training that is ``factor`` times as long."""
        images = None if self.images is None else factor * self.images
        return Cost(images, factor * self.training, self.overhead)


def parameters_of(trial: FrozenTrial) -> dict[str, str]:
    """Return key of the config -> value of a trial, as text."""
    return dict(item.split("=", 1) for item in words_of(trial))


def load_sweep(folder: Path, storage: str | None, name: str | None) -> SweepResults:
    """Load the results of a sweep from its study.

    Args:
        folder: The sweep's folder, ``outputs/multirun/<name>``.
        storage: The option ``sweep.storage`` of the sweep; None for the address saved in its folder, or else
            the SQLite file there.
        name: The option ``sweep.name``; None for the name of the folder.

    Raises:
        FerError: There is no such storage, or no such sweep in it.
    """
    folder = expand_user(folder).resolve()
    storage = storage or saved_address(folder)
    address = full_address(storage, folder)
    if (file := storage_file(address)) is not None and not file.is_file():
        raise FerError(_missing_message(folder, storage, file))
    opened = open_storage(address)
    names = sorted(study.study_name for study in opened.get_all_studies())
    name = name or (names[0] if storage is None and len(names) == 1 else folder.name)
    if name not in names:
        available = ", ".join(names) or "none"
        raise FerError(
            f"{address}: expected a sweep {name!r}, got {available}. Choose one of these with --name."
        )
    study = optuna.load_study(study_name=name, storage=opened)
    if "search" not in study.user_attrs:
        raise FerError(f"{address}: expected a sweep of fer-train, got another Optuna study {name!r}.")
    copy = _in_memory(study)
    return SweepResults(name, folder, copy, copy.get_trials(deepcopy=False), front(study))


def _in_memory(study: Study) -> Study:
    """Return a copy of a study, to which a running sweep adds nothing."""
    storage = optuna.storages.InMemoryStorage()
    copy = optuna.create_study(direction=study.directions[0], storage=storage, study_name=study.study_name)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    trials = [_without_nan(with_first_value(trial)) for trial in study.get_trials()]
    if study.user_attrs["search"].get("kind") == GRID_KIND:
        add_grid_parameters(trials)
    copy.add_trials(trials)
    return copy


def _without_nan(trial: FrozenTrial) -> FrozenTrial:
    """Remove reports that are not finite, which cannot be ranked or plotted."""
    reports = trial.intermediate_values.items()
    trial.intermediate_values = {step: value for step, value in reports if math.isfinite(value)}
    return trial


def _missing_message(folder: Path, storage: str | None, file: Path) -> str:
    if storage is not None:
        return f"--storage {storage}: there is no file {file}. If it was moved, give its new address."
    return (
        f"{folder}: expected the folder of a sweep, with its {file.name} in it. Give outputs/multirun/NAME; "
        "if the sweep was started with sweep.storage, add the same value as --storage."
    )


def search_settings(sweep: SweepResults) -> dict[str, Any]:
    """Return the settings of the search, for the end of a page: name -> value."""
    search = sweep.study.user_attrs["search"]
    space = {name: _domain_text(domain) for name, domain in search["space"].items()}
    if sweep.is_grid:
        space = {key: ", ".join(map(str, values)) for key, values in grid_values(sweep.trials).items()}
    limits = {f"limit of {COSTS[name]}": str(limit) for name, limit in search.get("constraints", {}).items()}
    return {"objective": ", ".join(sweep.objectives), "folder": str(sweep.folder), **limits, **space}


def _domain_text(domain: dict[str, Any]) -> str:
    if "values" in domain:
        return ", ".join(map(str, domain["values"]))
    extra = ", logarithmic" if domain["log"] else f", step {domain['step']}" if domain["step"] else ""
    return f"{domain['low']} to {domain['high']}{extra}"


def trial_cost(sweep: SweepResults, trial: FrozenTrial) -> Cost:
    """Return the cost of a trial; if its process died, of all its attempts together.

    A trial that failed within its first epoch counts no images. If the run folder is missing, all seconds
    count as training.
    """
    folder = trial_folder(sweep.folder, trial)
    seconds = float(trial.user_attrs.get("seconds", 0.0))
    training = float(read_record(folder).fit_seconds or seconds)
    has_started = bool(trial.intermediate_values) or trial.user_attrs.get("share", 0.0) > 0
    return Cost(_image_passes(folder) if has_started else 0.0, training, max(0.0, seconds - training))


def unpruned_cost(trial: FrozenTrial, cost: Cost) -> Cost:
    """Return the cost of a trial without pruning, extrapolated from its fraction of the schedule."""
    fraction = float(trial.user_attrs.get("share", 1.0))
    return cost.scaled(1 / fraction) if trial.state == TrialState.PRUNED and fraction > 0 else cost


def sum_costs(costs: Sequence[Cost]) -> Cost:
    """Return the sum; its images are None if those of any part are."""
    images = [cost.images for cost in costs]
    known = [number for number in images if number is not None]
    return Cost(
        sum(known) if len(known) == len(images) else None,
        sum(cost.training for cost in costs),
        sum(cost.overhead for cost in costs),
    )


def sweep_costs(sweep: SweepResults, *states: TrialState) -> tuple[Cost, Cost]:
    """Return the cost of the trials in these states (default: all that have ended), and without pruning."""
    trials = sweep.in_state(*states or filter(TrialState.is_finished, STATES))
    costs = [trial_cost(sweep, trial) for trial in trials]
    unpruned = [unpruned_cost(trial, cost) for trial, cost in zip(trials, costs, strict=True)]
    return sum_costs(costs), sum_costs(unpruned)


def _image_passes(folder: Path) -> float | None:
    """Return optimiser steps times images per step, read from the run folder."""
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file)]
        config = read_config(folder)
    except (OSError, KeyError, TypeError, ValueError, FerError):
        return None
    batch = config.data.batch_size * config.trainer.accumulate_grad_batches
    return float(max(steps, default=0) * batch)


def format_value(objective: str, value: float | None) -> str:
    """Return a value of the objective as text: ``59.1 %``, or ``1.0432`` for a loss."""
    if value is None:
        return "–"
    return percent(value) if is_percent(objective) else f"{value:.4f}"


def format_difference(objective: str, value: float) -> str:
    """Return a difference as text: ``+1.2`` percentage points, or ``+0.0432`` for a loss."""
    return signed_number(100 * value, 1) if is_percent(objective) else signed_number(value, 4)


def unit(objective: str) -> str:
    """Return the unit of differences of the objective, with a leading blank; empty for a loss."""
    return " points" if is_percent(objective) else ""


def is_percent(objective: str) -> bool:
    """Return whether an objective is shown in per cent."""
    return objective.rsplit("/", 1)[-1] not in _NOT_PERCENT
