"""The plan of a sweep: ``sweep`` of the config, read and checked."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer.errors import FerError, did_you_mean
from fer.sweep.address import full_address
from fer.sweep.space import Parameter, parse_space

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("asha", "hyperband", "median", "none")
DEFAULT_TRIALS = 27  # 3^3: successive halving by 3 then has whole numbers


@dataclass(frozen=True)
class Plan:
    """What a sweep is, for the process that starts it and for every worker.

    Attributes:
        name: Of the study, and of its folder.
        folder: ``outputs/multirun/<name>``; a trial's run lies in it by its number.
        address: Of the storage, in full.
        objective: The validation metric that is searched for.
        space: What may be tried.
        n_trials: How many trials; for a grid, None is all of it.
        sampler: One of `SAMPLERS`.
        pruner: ``name`` (one of `PRUNERS`), ``min_share``, ``reduction``, ``startup_trials``.
        seed: Of the sampler.
        max_failed_share: Of the trials; with more failures the sweep stops.
        keep_pruned: Keep the checkpoints of pruned trials.
        words: The command line without its search, as every trial is composed from it.
        workers: Workers at a time.
        share_of_cores: By how many workers the cores of a machine are shared.
        session: A word for this start of it, to know its own workers by.
    """

    name: str
    folder: Path
    address: str
    objective: str
    space: list[Parameter]
    n_trials: int | None
    sampler: str
    pruner: dict[str, Any]
    seed: int
    max_failed_share: float
    keep_pruned: bool
    words: list[str]
    workers: int
    share_of_cores: int
    session: str


def make_plan(options: Mapping[str, Any], folder: Path, words: list[str], workers: int, share: int) -> Plan:
    """Read ``sweep`` of a config.

    Args:
        options: The node, as plain values.
        folder: The sweep's folder.
        words: The command line's.
        workers: Workers at a time.
        share: By how many workers the cores of a machine are shared.

    Raises:
        FerError: A name is unknown, a number out of range, or the space wrong.
    """
    if not re.fullmatch(r"\w[\w.-]*", str(options["name"]), re.ASCII):
        raise FerError(f"sweep.name: expected letters, digits, '.', '_' or '-', got {options['name']!r}.")
    _check_name("sampler", options["sampler"], SAMPLERS)
    _check_pruner(options["pruner"])
    _check_number("seed", options["seed"], 0, None, whole=True)
    _check_number("max_failed_share", options["max_failed_share"], 0, 1)
    n_trials = options["n_trials"]
    if n_trials is not None:
        _check_number("n_trials", n_trials, 1, None, whole=True)
    elif options["sampler"] != "grid":
        n_trials = DEFAULT_TRIALS
    kept = ("sampler", "pruner", "seed", "max_failed_share", "keep_pruned", "objective")
    return Plan(
        name=str(options["name"]), folder=folder, address=full_address(options["storage"], folder),
        space=parse_space(options["space"]), words=words, workers=workers, share_of_cores=share,
        session=secrets.token_hex(4), n_trials=n_trials,
        **{key: options[key] for key in kept},
    )  # fmt: skip


def first_look(pruner: Mapping[str, Any], trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``sweep.pruner`` that begins with the first validation, where it would begin before.

    Successive halving judges a trial on every rung that it has passed: with rungs before its first report, it
    would be judged twice and more on that.

    Args:
        pruner: As the config has it.
        trainer: Of the config that every trial varies.
    """
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    if not epochs or epochs < 0 or trainer["val_check_interval"] is not None:
        return dict(pruner)
    return {**pruner, "min_share": max(pruner["min_share"], min(1.0, (every or 1) / epochs))}


def _check_pruner(pruner: Any) -> None:
    if not isinstance(pruner, Mapping):
        raise FerError(f"sweep.pruner: expected a name and settings, got {pruner!r}. Say sweep.pruner.name=…")
    _check_name("pruner.name", pruner["name"], PRUNERS)
    _check_number("pruner.min_share", pruner["min_share"], 0.001, 1)
    _check_number("pruner.reduction", pruner["reduction"], 2, None, whole=True)
    _check_number("pruner.startup_trials", pruner["startup_trials"], 1, None, whole=True)


def _check_name(key: str, name: object, known: tuple[str, ...]) -> None:
    if name not in known:
        hint = did_you_mean(str(name), known)
        raise FerError(f"sweep.{key}: expected one of {', '.join(known)}, got {name!r}.{hint}")


def _check_number(key: str, value: object, low: float, high: float | None, whole: bool = False) -> None:
    kind: Any = int if whole else int | float
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits or value < low or (high is not None and value > high):  # type: ignore[operator]
        noun = "a whole number" if whole else "a number"
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise FerError(f"sweep.{key}: expected {noun} {limits}, got {value!r}.")
