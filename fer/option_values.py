"""Values of a composed config: of the right kind, in range, and honest. Imports OmegaConf alone."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fer.errors import FerError, did_you_mean

_MAY_BE_NULL = (
    "early_stopping_patience", "datamodule.size", "datamodule.workers", "trainer.check_val_every_n_epoch"
)  # fmt: skip
_NULLABLE = (*_MAY_BE_NULL, "optimizer.layer_decay", "sweep.n_trials")


def flat(config: DictConfig) -> dict[str, Any]:
    """Return dotted key -> value as written, groups included, nothing interpolated."""
    found: dict[str, Any] = {}

    def add(values: Mapping[Any, Any], prefix: str) -> None:
        for name, value in values.items():
            found[f"{prefix}{name}"] = value
            if isinstance(value, Mapping):
                add(value, f"{prefix}{name}.")

    container: Any = OmegaConf.to_container(config, resolve=False)
    add(container, "")
    return found


def check_values(config: DictConfig, reference: DictConfig) -> None:
    """Refuse words where a number is expected, and a number that is too low.

    Args:
        config: As composed.
        reference: The same choices as their files have them: what kind each value is.

    Raises:
        FerError: A value is of the wrong kind or out of range.
    """
    _check_kinds(config, reference)
    _check_numbers(config)


def _check_kinds(config: DictConfig, reference: DictConfig) -> None:
    given = flat(config)
    for key, was in flat(reference).items():
        if key not in given or key in ("trainer.devices", "model.pretrained"):
            continue
        now = given[key]
        kind = "true or false" if isinstance(was, bool) else "a number"
        strange = isinstance(now, str | list | dict) or (isinstance(now, bool) and not isinstance(was, bool))
        strange |= now is None and key not in _NULLABLE
        if isinstance(was, int | float) and strange:
            raise FerError(f"{key}: expected {kind}, got {_shown(now)}.")


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _check_numbers(config: DictConfig) -> None:
    """Refuse a count that is too low, and words where a number or null is expected."""
    lowest = {
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
    for key, low in lowest.items():
        value = OmegaConf.select(config, key)
        if value is None and key in _MAY_BE_NULL:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or value < low:
            raise FerError(f"{key}: expected a number of at least {low}, got {_shown(value)}.")
        if isinstance(low, int) and not isinstance(value, int):
            raise FerError(f"{key}: expected a whole number, got {value!r}.")
    if isinstance(time := config.trainer.max_time, int | float):
        raise FerError(f'trainer.max_time: expected "DD:HH:MM:SS", got {time}.')
    if config.seed >= 2**32:
        raise FerError(f"seed: expected a number below 2^32, got {config.seed}.")
    if config.trainer.limit_train_batches == 0:
        raise FerError("trainer.limit_train_batches=0: nothing would be trained. Leave it out, or say more.")
    _check_progressive(config.progressive)


def _check_progressive(stages: object) -> None:
    plain = OmegaConf.to_container(stages) if isinstance(stages, ListConfig) else stages
    if not isinstance(plain, list) or not all(map(_is_stage, plain)):
        raise FerError(
            "progressive: expected [[share of the epochs, px], …] such as [[0, 32], [0.6, 48]], with shares "
            f"from 0 to 1 and at least 16 px, got {plain!r}."
        )


def _is_stage(stage: object) -> bool:
    if not isinstance(stage, list) or len(stage) != 2:
        return False
    share, size = stage
    return isinstance(share, int | float) and 0 <= share <= 1 and isinstance(size, int) and size >= 16


def check_monitor(monitor: object) -> None:
    """Refuse what is no validation metric."""
    if not isinstance(monitor, str):
        raise FerError(f"monitor: expected a validation metric such as val/accuracy, got {monitor!r}.")
    if monitor.startswith("test/"):
        raise FerError(
            f"monitor={monitor}: the test split must not choose a checkpoint, stop a training or steer a "
            "schedule. Use a validation metric, e.g. monitor=val/accuracy."
        )
    known = [f"val/{name}" for name in ("accuracy", "macro_f1", "uar", "loss", "ece")]
    if monitor not in known and not monitor.startswith(("val/f1/", "val/precision/", "val/recall/")):
        hint = did_you_mean(monitor, known)
        raise FerError(
            f"monitor: expected one of {', '.join(known)} or val/f1/EMOTION, got {monitor!r}.{hint}"
        )
