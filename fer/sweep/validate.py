"""Checks before a sweep starts: the config that trials vary, the search space, and the data.

Each key of the space is looked up in the config, and each limit of a range is tried.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from omegaconf import DictConfig, OmegaConf

from fer.core.errors import FerError, did_you_mean
from fer.data.readers.factory import read_dataset
from fer.data.splits import indices
from fer.sweep.compose import Composer, format_override
from fer.sweep.plan import Plan
from fer.sweep.space import Choice, Domain, Parameter, Range, Value
from fer.training.config import RunConfig
from fer.training.metrics import check_monitor_emotion
from fer.training.overrides import choices, flatten, groups, to_run_config

# First parts of keys that cannot be searched.
NOT_SEARCHED = ("sweep", "hydra", "proxy", "resume", "output_dir", "name", "monitor")
# Keys that set the length of a training.
LENGTH_KEYS = ("trainer.max_epochs", "trainer.max_steps")
# Config groups whose choice may change the data.
_DATA_GROUPS = ("datamodule", "experiment")


def check_base(base: RunConfig, plan: Plan) -> None:
    """Check the config that every trial varies, so that no trial fails because of it.

    Raises:
        FerError: An option is not possible in a sweep.
    """
    if base.resume is not None:
        raise FerError(
            f"resume: expected null in a sweep, got {base.resume}, which resumes a single run. To resume a "
            "sweep, set sweep.resume=FOLDER; to resume several runs in turn, hydra/sweeper=basic."
        )
    if base.test and not plan.is_grid:
        raise FerError(
            "test: expected false in a search, because a score of each trial would select on the test split. "
            "Remove test=true, and score the best run with fer-evaluate RUN --split test."
        )
    trainer = base.trainer
    if trainer.devices != 1:
        raise FerError(
            f"trainer.devices: expected 1, got {trainer.devices}: a sweep trains each trial on one device. "
            "To use several devices, set sweep.jobs."
        )
    if trainer.limit_val_batches == 0 and not plan.is_grid:
        raise FerError(
            f"trainer.limit_val_batches: expected more than 0, got 0: {plan.objective} would never be "
            "measured. Remove this option."
        )
    if plan.pruner.name != "none" and (trainer.min_epochs or trainer.min_steps):
        raise FerError(
            "trainer.min_epochs, trainer.min_steps: expected null with a pruner, because pruned trials would "
            "continue to train. Remove them, or set sweep.pruner.name=none."
        )


def check_space(space: Sequence[Parameter], compose: Composer, prunes: bool) -> None:
    """Check that the config of every trial can be composed.

    Args:
        space: Search space of the sweep.
        compose: Composer of the command line.
        prunes: Whether trials are pruned by their fraction of the schedule.

    Raises:
        FerError: A key is not in the config, or a value is not valid for it.
    """
    composed = cache(compose)
    for parameter in space:
        key = parameter.key
        if key.split(".")[0] in NOT_SEARCHED:
            raise FerError(
                f"sweep.space: expected keys that may differ between trials, got {key}. Remove it from the "
                "space."
            )
        if prunes and key in LENGTH_KEYS:
            raise FerError(
                f"sweep.space: {key} cannot be searched with a pruner, which ends bad trials early anyway. "
                "Remove it, or set sweep.pruner.name=none."
            )
        _check_unknown_choices(parameter)
        if key in groups():
            _check_group(parameter)
            if prunes:
                _check_length(parameter, composed)
            continue
        contexts = _contexts(parameter, space)
        _check_known(parameter, {overrides: composed(*overrides) for overrides, _ in contexts})
        for overrides, name in contexts:
            _check_values(composed(*overrides), parameter, name)


def _check_unknown_choices(parameter: Parameter) -> None:
    """Reject a branch for an option that does not exist; an option that the space omits is allowed."""
    known = choices(parameter.parent) if parameter.parent in groups() else []
    for choice in parameter.unlisted:
        if choice not in known:
            raise FerError(
                f"sweep.space, {parameter.key}: expected a choice of {parameter.parent}, got {choice!r}."
                f"{did_you_mean(choice, [*known, *map(str, parameter.names)])}"
            )


def _check_group(parameter: Parameter) -> None:
    known = choices(parameter.key)
    for name, domain in parameter.domains.items():
        values = domain.values if isinstance(domain, Choice) else ("a range",)
        for value in values:
            if value not in known:
                raise FerError(
                    f"sweep.space, {name}: expected one of {', '.join(known)}, got {value!r}."
                    f"{did_you_mean(str(value), known)}"
                )


def _check_length(parameter: Parameter, compose: Callable[..., DictConfig]) -> None:
    """Reject options of a group that train for different lengths: the pruner compares fractions of them."""
    base = compose()
    for value in dict.fromkeys(value for domain in parameter.domains.values() for value in domain.limits()):
        config = compose(format_override(parameter.key, value))
        for key in LENGTH_KEYS:
            before, now = OmegaConf.select(base, key), OmegaConf.select(config, key)
            if before != now:
                raise FerError(
                    f"sweep.space: {parameter.key}={value} sets {key} to {now}, others to {before}. With a "
                    f"pruner, all trials must have the same length. Set {key}=… on the command line, or set "
                    "sweep.pruner.name=none."
                )


def _contexts(parameter: Parameter, space: Sequence[Parameter]) -> list[tuple[tuple[str, ...], str]]:
    """Return the overrides with which a parameter is checked, and its name in the study for each."""
    if parameter.parent is not None:
        return [
            ((format_override(parameter.parent, value),), name) for value, name in parameter.names.items()
        ]
    group = parameter.key.split(".")[0]
    searched = [other for other in space if other.key == group and group in groups()]
    values: list[Value] = [
        value for other in searched for domain in other.domains.values() for value in domain.limits()
    ]
    return [((format_override(group, value),), parameter.key) for value in values] or [((), parameter.key)]


def _check_known(parameter: Parameter, configs: Mapping[tuple[str, ...], DictConfig]) -> None:
    """Reject a key that the config lacks, with some choice or in general."""
    keys = {overrides: list(flatten(config)) for overrides, config in configs.items()}
    choices_with_key = [
        overrides[0].partition("=")[2]
        for overrides, known in keys.items()
        if parameter.key in known and overrides
    ]
    for overrides, known in keys.items():
        if parameter.key in known:
            continue
        context = f" with {overrides[0]}" if overrides else ""
        hint = did_you_mean(parameter.key, [key for key in known if key.split(".")[0] not in NOT_SEARCHED])
        if choices_with_key and parameter.parent is None:
            listed = ", ".join(choices_with_key)
            hint = f" List the choices that have it: {parameter.key}: {{{listed}: …}}."
        raise FerError(f"sweep.space: the config has no {parameter.key}{context}.{hint}")


def _check_values(config: DictConfig, parameter: Parameter, name: str) -> None:
    _check_real(flatten(config)[parameter.key], parameter.domains[name], name)
    for value in parameter.domains[name].limits():
        changed = config.copy()
        OmegaConf.update(changed, parameter.key, value)
        try:
            to_run_config(changed)
        except FerError as error:
            raise FerError(f"sweep.space, {name}: {error}") from error


def _check_real(current: object, domain: Domain, name: str) -> None:
    """Reject integer limits, such as 0 and 1, for a real-valued key: no value between would be tried."""
    if isinstance(current, float) and isinstance(domain, Range) and domain.is_integer() and not domain.step:
        integers = "" if domain.log else "; for integers add step: 1"
        raise FerError(
            f"sweep.space, {name}: a range with integer limits tries integers only. For real numbers write "
            f"low: {float(domain.low)}{integers}."
        )


def check_data(plan: Plan, compose: Composer) -> int | None:
    """Read the data set once, unless the space searches over it.

    Returns:
        Number of training images; None if the data was not read.

    Raises:
        FerError: It cannot be read, or it lacks the emotion of the objective.
    """
    keys = [parameter.key for parameter in plan.space if not parameter.key.endswith("batch_size")]
    if any(key.split(".")[0] in _DATA_GROUPS for key in keys):
        return None
    dataset = read_dataset(compose.run_config({"monitor": plan.objective}).data)
    check_monitor_emotion(plan.objective, dataset.labels)
    return len(indices(dataset, "train"))


def max_steps_per_epoch(config: RunConfig, space: Sequence[Parameter], images: int) -> int:
    """Return the largest number of optimizer steps in an epoch of any trial.

    Args:
        config: The config that every trial varies.
        space: Search space of the sweep.
        images: Number of training images.
    """
    trainer = config.trainer
    batches = images // _smallest("datamodule.batch_size", config.data.batch_size, space)
    if isinstance(trainer.limit_train_batches, float):
        batches = int(batches * trainer.limit_train_batches)
    elif trainer.limit_train_batches is not None:
        batches = min(batches, trainer.limit_train_batches)
    accumulated = _smallest("trainer.accumulate_grad_batches", trainer.accumulate_grad_batches, space)
    return max(1, math.ceil(batches / accumulated))


def _smallest(key: str, value: int, space: Sequence[Parameter]) -> int:
    """Return the smallest value of a key in the space, else its value in the config."""
    searched = [limit for parameter in space if parameter.key == key
                for domain in parameter.domains.values() for limit in domain.limits()]  # fmt: skip
    return min([int(limit) for limit in searched if limit is not None], default=value)
