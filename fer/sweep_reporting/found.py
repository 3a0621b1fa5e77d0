"""The results of a sweep, read from its study: trials, their values, and the commands that train them."""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.errors import FerError
from fer.places import expand_user
from fer.sweep.address import full_address, saved_address, storage_file
from fer.sweep.storage import open_storage

STATES = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}  # fmt: skip

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class SweepResults:
    """A sweep that was started, finished or not.

    Attributes:
        name: Name of the study.
        folder: The sweep's folder, with one run folder for each trial number.
        study: In-memory copy of the study at one moment, so that a page is consistent.
        trials: All trials, by number.
    """

    name: str
    folder: Path
    study: Study
    trials: list[FrozenTrial]

    @property
    def objective(self) -> str:
        """Return the metric that was optimised."""
        return str(self.study.user_attrs["search"]["objective"])

    @property
    def sign(self) -> int:
        """Return 1 if higher is better, else -1."""
        return 1 if self.study.direction == StudyDirection.MAXIMIZE else -1

    def in_state(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in any of these states."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def ranking(self) -> list[FrozenTrial]:
        """Return the finished trials, best first; of equal ones the earlier first."""
        finished = self.in_state(TrialState.COMPLETE)
        return sorted(finished, key=lambda trial: -self.sign * (trial.value or 0.0))

    @property
    def measured(self) -> list[FrozenTrial]:
        """Return the finished and pruned trials that were measured at least once."""
        ended = self.in_state(TrialState.COMPLETE, TrialState.PRUNED)
        return [trial for trial in ended if trial.intermediate_values]

    def best_value(self, trial: FrozenTrial) -> float | None:
        """Return the best value that a trial reported; None if it reported none."""
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
        return shlex.join(["fer-train", *self.study.user_attrs["command"], *overrides_of(trial)])

    def full_overrides(self, trial: FrozenTrial) -> list[str]:
        """Return the overrides that train the full recipe of a trial, also if the trial was a proxy."""
        attrs = self.study.user_attrs
        return [*attrs.get("full_command", attrs["command"]), *overrides_of(trial)]

    def full_command(self, trial: FrozenTrial) -> str:
        """Return the command line that trains the full recipe of a trial."""
        return shlex.join(["fer-train", *self.full_overrides(trial)])


def overrides_of(trial: FrozenTrial) -> list[str]:
    """Return the overrides that a trial was composed with."""
    stored = trial.user_attrs.get("words")
    if stored is not None:
        return list(stored)
    return [f"{name.partition('[')[0]}={value}" for name, value in trial.params.items()]


def parameters_of(trial: FrozenTrial) -> dict[str, str]:
    """Return key of the config -> value of a trial, as text."""
    return dict(override.split("=", 1) for override in overrides_of(trial))


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
    return SweepResults(name, folder, copy, copy.get_trials(deepcopy=False))


def _in_memory(study: Study) -> Study:
    """Return a copy of a study, to which a running sweep adds nothing."""
    storage = optuna.storages.InMemoryStorage()
    copy = optuna.create_study(direction=study.direction, storage=storage, study_name=study.study_name)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    copy.add_trials(map(_without_nan, study.get_trials()))
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
    return {"objective": sweep.objective, "folder": str(sweep.folder), **space}


def _domain_text(domain: dict[str, Any]) -> str:
    if "values" in domain:
        return ", ".join(map(str, domain["values"]))
    extra = ", logarithmic" if domain["log"] else f", step {domain['step']}" if domain["step"] else ""
    return f"{domain['low']} to {domain['high']}{extra}"
