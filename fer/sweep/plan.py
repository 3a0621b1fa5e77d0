"""The plan of a sweep: the ``sweep`` node of the config, read and checked."""

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
DEFAULT_TRIALS = 27  # 3^3, so that successive halving by 3 divides evenly


@dataclass(frozen=True)
class Plan:
    """Settings of a sweep, for the process that starts it and for every worker.

    Attributes:
        name: Name of the study and of its folder.
        folder: ``outputs/multirun/<name>``, with one run folder for each trial number.
        address: Complete address of the storage.
        objective: The validation metric that is optimised.
        space: The search space.
        n_trials: Number of trials; None takes a whole grid.
        sampler: One of `SAMPLERS`.
        pruner: ``name`` (one of `PRUNERS`), ``min_share``, ``reduction``, ``startup_trials``.
        seed: Seed of the sampler.
        max_failed_share: Fraction of failed trials above which the sweep stops.
        keep_pruned: Whether the checkpoints of pruned trials are kept.
        overrides: The command line, from which every trial is composed.
        workers: Number of workers at a time.
        workers_per_machine: Number of workers that share the cores of a machine.
        session: Random id of this start of the sweep, to recognise its own workers.
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
    overrides: list[str]
    workers: int
    workers_per_machine: int
    session: str


def make_plan(
    options: Mapping[str, Any], folder: Path, overrides: list[str], workers: int, workers_per_machine: int
) -> Plan:
    """Read the ``sweep`` node of a config.

    Args:
        options: The node, as plain values.
        folder: The sweep's folder.
        overrides: The command line's.
        workers: Number of workers at a time.
        workers_per_machine: Number of workers that share the cores of a machine.

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
    copied = ("sampler", "pruner", "seed", "max_failed_share", "keep_pruned", "objective")
    return Plan(
        name=str(options["name"]), folder=folder, address=full_address(options["storage"], folder),
        space=parse_space(options["space"]), overrides=overrides, workers=workers,
        workers_per_machine=workers_per_machine, session=secrets.token_hex(4), n_trials=n_trials,
        **{key: options[key] for key in copied},
    )  # fmt: skip


def align_first_rung(pruner: Mapping[str, Any], trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``sweep.pruner`` with a ``min_share`` that is not before the first validation.

    Successive halving judges a trial on every rung that it has passed. With rungs before its first report, it
    would be judged several times on that one report.

    Args:
        pruner: The node ``sweep.pruner``.
        trainer: The node ``trainer`` of the config that every trial varies.
    """
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    if not epochs or epochs < 0 or trainer["val_check_interval"] is not None:
        return dict(pruner)
    return {**pruner, "min_share": max(pruner["min_share"], min(1.0, (every or 1) / epochs))}


def _check_pruner(pruner: Any) -> None:
    if not isinstance(pruner, Mapping):
        raise FerError(
            f"sweep.pruner: expected a name and settings, got {pruner!r}. Set sweep.pruner.name=…."
        )
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
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not is_number or value < low or (high is not None and value > high):  # type: ignore[operator]
        noun = "a whole number" if whole else "a number"
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise FerError(f"sweep.{key}: expected {noun} {limits}, got {value!r}.")
