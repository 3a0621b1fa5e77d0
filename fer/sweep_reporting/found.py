"""A sweep as its study has it: trials, what each came to, and the command that trains one again."""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.errors import FerError
from fer.places import at_home
from fer.sweep.address import file_of, full_address, noted_address
from fer.sweep.storage import open_storage

STATES = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}  # fmt: skip

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class FoundSweep:
    """A sweep that was begun, finished or not.

    Attributes:
        name: Of the study.
        folder: Of the runs; a trial's lies in it by its number.
        study: Optuna's, in memory, as it was when the sweep was read, so that a page tells of one moment.
        trials: All of them, by number.
    """

    name: str
    folder: Path
    study: Study
    trials: list[FrozenTrial]

    @property
    def objective(self) -> str:
        """Return the metric that was searched for."""
        return str(self.study.user_attrs["search"]["objective"])

    @property
    def sign(self) -> int:
        """Return 1 where more is better, else -1."""
        return 1 if self.study.direction == StudyDirection.MAXIMIZE else -1

    def in_state(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in any of these states."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def ranking(self) -> list[FrozenTrial]:
        """Return the finished trials, best first; of equals the earlier."""
        finished = self.in_state(TrialState.COMPLETE)
        return sorted(finished, key=lambda trial: -self.sign * (trial.value or 0.0))

    @property
    def judged(self) -> list[FrozenTrial]:
        """Return the trials that have ended and were measured at least once."""
        ended = self.in_state(TrialState.COMPLETE, TrialState.PRUNED)
        return [trial for trial in ended if trial.intermediate_values]

    def reached(self, trial: FrozenTrial) -> float | None:
        """Return the best value that a trial was measured at; None where it never was."""
        values = trial.intermediate_values.values()
        return max(values, key=lambda value: self.sign * value, default=None)

    def count(self) -> dict[str, int]:
        """Return how many trials are in which state, those without one left out."""
        numbers = {word: len(self.in_state(state)) for state, word in STATES.items()}
        return {word: number for word, number in numbers.items() if number}

    @property
    def is_proxy(self) -> bool:
        """Return whether the trials were cheaper than the recipes that they stand for."""
        return "full_command" in self.study.user_attrs

    def command(self, trial: FrozenTrial) -> str:
        """Return the command line that trains a trial again."""
        return shlex.join(["fer-train", *self.study.user_attrs["command"], *words_of(trial)])

    def whole_words(self, trial: FrozenTrial) -> list[str]:
        """Return the words that train the recipe of a trial whole, also where the trial was a proxy."""
        attrs = self.study.user_attrs
        return [*attrs.get("full_command", attrs["command"]), *words_of(trial)]

    def whole_command(self, trial: FrozenTrial) -> str:
        """Return the command line that trains the recipe of a trial whole."""
        return shlex.join(["fer-train", *self.whole_words(trial)])


def words_of(trial: FrozenTrial) -> list[str]:
    """Return the words of the command line that a trial was composed with."""
    noted = trial.user_attrs.get("words")
    if noted is not None:
        return list(noted)
    return [f"{name.partition('[')[0]}={value}" for name, value in trial.params.items()]


def chosen(trial: FrozenTrial) -> dict[str, str]:
    """Return key of the config -> value as a trial had it."""
    return dict(word.split("=", 1) for word in words_of(trial))


def find_sweep(folder: Path, storage: str | None, name: str | None) -> FoundSweep:
    """Open a sweep's study.

    Args:
        folder: Of the sweep, ``outputs/multirun/<name>``.
        storage: What ``sweep.storage`` was; None for what the folder says, else the SQLite file in it.
        name: What ``sweep.name`` was; None for the name of the folder.

    Raises:
        FerError: There is no such storage, or no such sweep in it.
    """
    folder = at_home(folder).resolve()
    storage = storage or noted_address(folder)
    address = full_address(storage, folder)
    if (file := file_of(address)) is not None and not file.is_file():
        raise FerError(_missing(folder, storage, file))
    opened = open_storage(address)
    names = sorted(study.study_name for study in opened.get_all_studies())
    name = name or (names[0] if storage is None and len(names) == 1 else folder.name)
    if name not in names:
        there = ", ".join(names) or "none"
        raise FerError(f"There is no sweep {name!r} in {address}. There are: {there}. Name one with --name.")
    study = optuna.load_study(study_name=name, storage=opened)
    if "search" not in study.user_attrs:
        raise FerError(f"{address}: {name!r} is an Optuna study, but no sweep of fer-train.")
    read = _in_memory(study)
    return FoundSweep(name, folder, read, read.get_trials(deepcopy=False))


def _in_memory(study: Study) -> Study:
    """Return a study as it is now; what the sweep adds to its storage from here on is not in it."""
    storage = optuna.storages.InMemoryStorage()
    copy = optuna.create_study(direction=study.direction, storage=storage, study_name=study.study_name)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    copy.add_trials(map(_with_numbers_alone, study.get_trials()))
    return copy


def _with_numbers_alone(trial: FrozenTrial) -> FrozenTrial:
    """Drop the measurements that are no number: neither a best value nor a curve can be made of them."""
    measured = trial.intermediate_values.items()
    trial.intermediate_values = {step: value for step, value in measured if math.isfinite(value)}
    return trial


def _missing(folder: Path, storage: str | None, file: Path) -> str:
    if storage is not None:
        return f"--storage {storage}: there is no file {file}. Where it was moved, say where to."
    return (
        f"{folder}: expected the folder of a sweep, with its {file.name} in it. Give outputs/multirun/NAME; "
        "where the sweep was begun with sweep.storage, add the same as --storage."
    )


def about(sweep: FoundSweep) -> dict[str, Any]:
    """Return what the sweep was made of, for the end of a page: term -> value."""
    search = sweep.study.user_attrs["search"]
    space = {name: _domain(domain) for name, domain in search["space"].items()}
    return {"objective": sweep.objective, "folder": str(sweep.folder), **space}


def _domain(domain: dict[str, Any]) -> str:
    if "values" in domain:
        return ", ".join(map(str, domain["values"]))
    extra = ", logarithmic" if domain["log"] else f", step {domain['step']}" if domain["step"] else ""
    return f"{domain['low']} to {domain['high']}{extra}"
