"""Options of fer-train: checks of a composed config, and explanations of Hydra's errors.

The checks cover types and ranges of values, the monitor, unknown keys, launchers and data sources. This
module imports Hydra but not torch, so that a mistyped option is reported at once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.core.errors import FerError, did_you_mean
from fer.core.paths import CONFIG_DIR
from fer.training.metrics import check_monitor

# Keys with these prefixes are passed to timm, so new ones may be added with +.
OPEN_PREFIXES = ("optimizer.", "model.kwargs.")
_SOURCES_EXAMPLE = "'datamodule.sources=[{name: fer2013, path: /data/fer2013.csv}, {name: synthetic}]'"
# Options of the combined data set, not of each source.
_COMBINED_OPTIONS = ("batch_size", "eval_batch_size", "drop_leaks")
# Keys of numbers that may be null.
_NULLABLE = (
    "early_stopping_patience", "datamodule.size", "datamodule.workers", "trainer.check_val_every_n_epoch",
    "optimizer.layer_decay", "sweep.n_trials",
)  # fmt: skip
# Extra of the package that installs them -> names of Hydra launchers.
LAUNCHERS = {
    "train": ("basic",),
    "sweep": ("joblib", "submitit_local", "submitit_slurm"),
    "ray": ("ray", "ray_aws"),
}
HydraError = HydraException | OmegaConfBaseException | ValueError


def groups() -> list[str]:
    """Return the names of the config groups, i.e. the folders of ``conf/``."""
    return sorted(folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir())


def choices(group: str) -> list[str]:
    """Return the choices of a config group, e.g. ``["adam", "adamw", …]`` for ``optimizer``."""
    return sorted(file.stem for file in (CONFIG_DIR / group).glob("*.yaml"))


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


def overridden_keys(overrides: Sequence[str]) -> list[str]:
    """Return the keys of overrides; ``""`` for an experiment, which may set any key."""
    keys = [item.lstrip("+~").partition("=")[0] for item in overrides]
    return ["" if key == "experiment" else key for key in keys]


def check_config(config: DictConfig) -> None:
    """Check the values and keys of a composed config.

    Raises:
        FerError: A value is missing or of the wrong type, a key is unknown, or the monitor is not a
            validation metric.
    """
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise FerError(f"{missing[0]}: expected a value, got none. Add {missing[0]}=… to the command.")
    overrides = list(HydraConfig.get().overrides.task)
    reference = _reference(overrides)
    _check_additions(overrides, set(flatten(reference)))
    check_monitor(config.monitor)
    check_values(config, reference)


def _check_additions(overrides: Sequence[str], known: set[str]) -> None:
    """Raise FerError for a key that is added with + but is not passed to a library."""
    for item in overrides:
        key = item.lstrip("+").partition("=")[0]
        is_known = key in known or key.startswith(OPEN_PREFIXES) or key in groups()
        if item.startswith("+") and not is_known:
            raise FerError(
                f"Unknown option {key!r}.{did_you_mean(key, known)} All options: fer-train --cfg job"
            )


def check_values(config: DictConfig, reference: DictConfig) -> None:
    """Check that numbers are numbers and in range.

    Args:
        config: As composed.
        reference: The same choices without overridden values; their types are the expected types.

    Raises:
        FerError: A value is of the wrong type or out of range.
    """
    _check_types(config, reference)
    _check_numbers(config)


def _check_types(config: DictConfig, reference: DictConfig) -> None:
    values = flatten(config)
    for key, default in flatten(reference).items():
        if key not in values or key in ("trainer.devices", "model.pretrained"):
            continue
        value = values[key]
        expected = "true or false" if isinstance(default, bool) else "a number"
        is_wrong = isinstance(value, str | list | dict)
        is_wrong |= isinstance(value, bool) and not isinstance(default, bool)
        is_wrong |= value is None and key not in _NULLABLE
        if isinstance(default, int | float) and is_wrong:
            raise FerError(f"{key}: expected {expected}, got {_format_value(value)}.")


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
        if value is None and key in _NULLABLE:
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
    values = OmegaConf.to_container(stages) if isinstance(stages, ListConfig) else stages
    if not isinstance(values, list) or not all(map(_is_stage, values)):
        raise FerError(
            "progressive: expected [[fraction of the epochs, px], …] such as [[0, 32], [0.6, 48]], with "
            f"fractions from 0 to 1 and at least 16 px, got {values!r}."
        )


def _is_stage(stage: object) -> bool:
    if not isinstance(stage, list) or len(stage) != 2:
        return False
    start, size = stage
    return isinstance(start, int | float) and 0 <= start <= 1 and isinstance(size, int) and size >= 16


def complete_sources(config: DictConfig) -> None:
    """Add the default values of ``conf/datamodule`` to each of ``datamodule.sources``, in place.

    Raises:
        FerError: A source has an unknown name or option, or lacks a required option.
    """
    if "sources" not in config.datamodule:
        return
    sources = config.datamodule.sources
    if not isinstance(sources, ListConfig) or not sources:
        raise FerError(f"datamodule.sources: expected {_SOURCES_EXAMPLE}, got {sources!r}.")
    for position, source in enumerate(sources):
        sources[position] = _complete_source(source, f"datamodule.sources, entry {position + 1}")


def _complete_source(source: object, location: str) -> DictConfig:
    known = [choice for choice in choices("datamodule") if choice != "concat"]
    name = source.get("name") if isinstance(source, DictConfig) else None
    if not isinstance(source, DictConfig) or name not in known:
        hint = did_you_mean(str(name), known)
        expected = f"a name ({', '.join(known)}), as in {_SOURCES_EXAMPLE}"
        raise FerError(f"{location}: expected {expected}, got {name!r}.{hint}")
    file = OmegaConf.load(CONFIG_DIR / "datamodule" / f"{name}.yaml")
    assert isinstance(file, DictConfig)
    defaults = OmegaConf.masked_copy(file, [str(key) for key in file if key not in _COMBINED_OPTIONS])
    options = [str(option) for option in defaults]
    if unknown := [str(option) for option in source if str(option) not in options]:
        hint = did_you_mean(unknown[0], options)
        raise FerError(
            f"{location}: expected options of {name} ({', '.join(options)}), got {unknown[0]!r}.{hint}"
        )
    merged = OmegaConf.merge(defaults, source)
    assert isinstance(merged, DictConfig)
    if missing := [str(key) for key in merged if OmegaConf.is_missing(merged, key)]:
        raise FerError(f"{location}: {name} needs {missing[0]}. Add {missing[0]}: … to it.")
    return merged


def explain_hydra_error(error: HydraError, overrides: Sequence[str]) -> FerError:
    """Return a one-line error for what Hydra rejects, with the most similar known option.

    Args:
        error: Raised by Hydra or OmegaConf.
        overrides: The overrides of the command line.
    """
    text = str(error)
    if isinstance(error, ValueError):
        # a key below a list, or command-line flags that exclude each other
        space_keys = [key for key in overridden_keys(overrides) if key.startswith("sweep.space.")]
        return _unknown_key(space_keys[0], overrides) if space_keys else FerError(f"{text}.")
    if match := re.search(r"Could not find 'hydra/launcher/(\w+)'", text):
        return _missing_launcher_error(match[1])
    if match := re.search(r"Could not find '([\w-]+)/([^']*)'", text):
        group, choice = match.groups()
        return FerError(
            f"{group}: expected one of {', '.join(choices(group)) or '(none)'}, got {choice!r}."
            f"{did_you_mean(choice, choices(group))}"
        )
    if match := re.search(r"full_key: (\S+)", str(error.__cause__)) or re.search(
        r"not override '(\S+)'", text
    ):
        return _unknown_key(match[1], overrides)
    if isinstance(error, MissingConfigException | ConfigCompositionException):
        return FerError(text.splitlines()[0] if text else repr(error))
    return FerError(
        f"{' '.join(text.split('See http')[0].split())} Options are written key=value. Quote a value with = "
        ", ~ or spaces twice: 'datamodule.path=\"/data/a=b.csv\"', and write $HOME for ~."
    )


def _missing_launcher_error(name: str) -> FerError:
    """Return the error for a launcher that Hydra does not find: not installed, or unknown."""
    for extra, launchers in LAUNCHERS.items():
        if name in launchers:
            return FerError(
                f"hydra/launcher={name} is not installed: pip install 'fer-lightning[train,{extra}]'"
            )
    known = [launcher for launchers in LAUNCHERS.values() for launcher in launchers]
    return FerError(
        f"hydra/launcher: expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
    )


def _unknown_key(key: str, overrides: Sequence[str]) -> FerError:
    if key.split(".")[0] == "sweep" and not any(item.startswith("sweep=") for item in overrides):
        return FerError(f"{key}: choose a sweep as well: sweep={', sweep='.join(choices('sweep'))}.")
    if f"{key}.".startswith("sweep.space."):
        return FerError(
            f"{key}: the chosen sweep's space has no such entry, or one of another kind (list, range, or "
            "one of these per choice), and kinds cannot be mixed. '+sweep.space={KEY: …}' adds an entry. "
            "'~sweep.space' '+sweep.space={…}' replaces the space; so does sweep=custom 'sweep.space={…}'."
        )
    known = [*flatten(_reference(overrides)), *groups()]
    parent = key.rpartition(".")[0] + "."
    siblings = [name for name in known if name.startswith(parent)] if "." in key else known
    hint = did_you_mean(key, siblings) or did_you_mean(key, known)
    plus = f" To pass it to the library unchanged, write +{key}=…" if key.startswith(OPEN_PREFIXES) else ""
    return FerError(f"Unknown option {key!r}.{hint}{plus} All options: fer-train --cfg job")


def _reference(overrides: Sequence[str]) -> DictConfig:
    """Return the config composed of the chosen files, without the values on the command line."""
    group_overrides = [
        item for item in overrides if item.lstrip("+").partition("=")[0] in groups() and "," not in item
    ]
    if GlobalHydra.instance().is_initialized():
        return hydra.compose("train", overrides=group_overrides)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose("train", overrides=group_overrides)
