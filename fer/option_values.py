"""Checks of the values of a composed config: kind, range, and the monitor. Imports OmegaConf only."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fer.errors import FerError, did_you_mean

_MAY_BE_NULL = (
    "early_stopping_patience", "datamodule.size", "datamodule.workers", "trainer.check_val_every_n_epoch"
)  # fmt: skip
_NULLABLE = (*_MAY_BE_NULL, "optimizer.layer_decay", "sweep.n_trials")


def flatten(config: DictConfig) -> dict[str, Any]:
    """Return dotted key -> value of a config, groups included, interpolations unresolved."""
    flat: dict[str, Any] = {}

    def add(values: Mapping[Any, Any], prefix: str) -> None:
        for name, value in values.items():
            flat[f"{prefix}{name}"] = value
            if isinstance(value, Mapping):
                add(value, f"{prefix}{name}.")

    container: Any = OmegaConf.to_container(config, resolve=False)
    add(container, "")
    return flat


def check_values(config: DictConfig, reference: DictConfig) -> None:
    """Check that numbers are numbers and in range.

    Args:
        config: As composed.
        reference: The same choices without overridden values; their kinds are the expected kinds.

    Raises:
        FerError: A value is of the wrong kind or out of range.
    """
    _check_kinds(config, reference)
    _check_numbers(config)


def _check_kinds(config: DictConfig, reference: DictConfig) -> None:
    values = flatten(config)
    for key, default in flatten(reference).items():
        if key not in values or key in ("trainer.devices", "model.pretrained"):
            continue
        value = values[key]
        kind = "true or false" if isinstance(default, bool) else "a number"
        is_wrong = isinstance(value, str | list | dict)
        is_wrong |= isinstance(value, bool) and not isinstance(default, bool)
        is_wrong |= value is None and key not in _NULLABLE
        if isinstance(default, int | float) and is_wrong:
            raise FerError(f"{key}: expected {kind}, got {_format_value(value)}.")


def _format_value(value: object) -> str:
    return "null" if value is None else repr(value)


def _check_numbers(config: DictConfig) -> None:
    """Raise FerError for a number that is out of range or not an integer."""
    minimums = {
        "seed": 0,
        "trainer.max_epochs": 1,
        "trainer.accumulate_grad_batches": 1,
        "trainer.check_val_every_n_epoch": 1,
        "datamodule.batch_size": 1,
        "datamodule.eval_batch_size": 1,
        "early_stopping_patience": 0,
        "ema_decay": 0.0,
        "datamodule.size": 1,
        "datamodule.workers": 0,
    }
    for key, minimum in minimums.items():
        value = OmegaConf.select(config, key)
        if value is None and key in _MAY_BE_NULL:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or value < minimum:
            raise FerError(f"{key}: expected a number of at least {minimum}, got {_format_value(value)}.")
        if isinstance(minimum, int) and not isinstance(value, int):
            raise FerError(f"{key}: expected an integer, got {value!r}.")
    if isinstance(time := config.trainer.max_time, int | float):
        raise FerError(f'trainer.max_time: expected "DD:HH:MM:SS", got {time}.')
    if config.seed >= 2**32:
        raise FerError(f"seed: expected a number below 2^32, got {config.seed}.")
    if config.trainer.limit_train_batches == 0:
        raise FerError(
            "trainer.limit_train_batches: expected more than 0, got 0. Remove it to train on all batches."
        )
    _check_progressive(config.progressive)


def _check_progressive(stages: object) -> None:
    plain = OmegaConf.to_container(stages) if isinstance(stages, ListConfig) else stages
    if not isinstance(plain, list) or not all(map(_is_stage, plain)):
        raise FerError(
            "progressive: expected [[fraction of the epochs, px], …] such as [[0, 32], [0.6, 48]], with "
            f"fractions from 0 to 1 and at least 16 px, got {plain!r}."
        )


def _is_stage(stage: object) -> bool:
    if not isinstance(stage, list) or len(stage) != 2:
        return False
    start, size = stage
    return isinstance(start, int | float) and 0 <= start <= 1 and isinstance(size, int) and size >= 16


def check_monitor(monitor: object) -> None:
    """Check that the monitor is a validation metric.

    Raises:
        FerError: It is another metric, e.g. of the test split.
    """
    if not isinstance(monitor, str):
        raise FerError(f"monitor: expected a validation metric such as val/accuracy, got {monitor!r}.")
    if monitor.startswith("test/"):
        raise FerError(
            f"monitor: expected a validation metric such as val/accuracy, got {monitor}. The test split must "
            "not select a checkpoint, stop training early or control a schedule."
        )
    known = [f"val/{name}" for name in ("accuracy", "macro_f1", "uar", "loss", "ece")]
    if monitor not in known and not monitor.startswith(("val/f1/", "val/precision/", "val/recall/")):
        hint = did_you_mean(monitor, known)
        raise FerError(
            f"monitor: expected one of {', '.join(known)} or val/f1/EMOTION, got {monitor!r}.{hint}"
        )
