"""The options of fer-train: Hydra's complaints in plain words, and checks of a composed config.

Imports Hydra alone, so that a mistyped option is answered before torch is loaded.
"""

import re
from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.config_dir import CONFIG_DIR
from fer.errors import FerError, did_you_mean
from fer.launchers import no_launcher
from fer.option_values import check_monitor, check_values, flat

# What these hold is handed on to timm, so keys may be added there with a plus.
OPEN_KEYS = ("optimizer.", "model.kwargs.")
_SOURCES_EXAMPLE = "'datamodule.sources=[{name: fer2013, path: /data/fer2013.csv}, {name: synthetic}]'"
_OF_THE_WHOLE = ("batch_size", "eval_batch_size", "drop_leaks")  # not for each source
Problem = HydraException | OmegaConfBaseException | ValueError


def groups() -> list[str]:
    """Return the names of the choices, i.e. the folders of ``conf/``."""
    return sorted(folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir())


def choices(group: str) -> list[str]:
    """Return the options of a choice, e.g. ``["adam", "adamw", …]`` for ``optimizer``."""
    return sorted(file.stem for file in (CONFIG_DIR / group).glob("*.yaml"))


def explain(error: Problem, overrides: Sequence[str]) -> FerError:
    """Say in one message what Hydra did not like about a command line, with the nearest known word."""
    text = str(error)
    if isinstance(error, ValueError):  # a key below one that is a list, or flags that exclude each other
        inside = [key for key in named(overrides) if key.startswith("sweep.space.")]
        return _unknown_key(inside[0], overrides) if inside else FerError(f"{text}.")
    if found := re.search(r"Could not find 'hydra/launcher/(\w+)'", text):
        return no_launcher(found[1])
    if found := re.search(r"Could not find '([\w-]+)/([^']*)'", text):
        group, option = found.groups()
        return FerError(
            f"{group}={option}: there is no such {group}.{did_you_mean(option, choices(group))} "
            f"There are: {', '.join(choices(group)) or 'none'}."
        )
    if found := re.search(r"full_key: (\S+)", str(error.__cause__)) or re.search(
        r"not override '(\S+)'", text
    ):
        return _unknown_key(found[1], overrides)
    if isinstance(error, MissingConfigException | ConfigCompositionException):
        return FerError(text.splitlines()[0] if text else repr(error))
    return FerError(
        f"{' '.join(text.split('See http')[0].split())} Options are written key=value; put a value with "
        "= , ~ or blanks in quotes twice: 'datamodule.path=\"/data/a=b.csv\"', and write $HOME for ~."
    )


def _unknown_key(key: str, overrides: Sequence[str]) -> FerError:
    if key.split(".")[0] == "sweep" and not any(word.startswith("sweep=") for word in overrides):
        return FerError(f"{key}: choose a sweep as well: sweep={', sweep='.join(choices('sweep'))}.")
    if f"{key}.".startswith("sweep.space."):
        return FerError(
            f"{key}: the chosen sweep's space has no such entry, or one of another kind (list, range, or "
            "these by choices), and kinds do not mix. '+sweep.space={KEY: …}' adds an entry; to put another "
            "space in its place: '~sweep.space' '+sweep.space={…}', or sweep=custom 'sweep.space={…}'."
        )
    known = [*flat(_reference(overrides)), *groups()]
    parent = key.rpartition(".")[0] + "."
    siblings = [name for name in known if name.startswith(parent)] if "." in key else known
    hint = did_you_mean(key, siblings) or did_you_mean(key, known)
    plus = f" To hand it on to the library as it is, write +{key}=…" if key.startswith(OPEN_KEYS) else ""
    return FerError(f"Unknown option {key!r}.{hint}{plus} All options: fer-train --cfg job")


def _reference(overrides: Sequence[str]) -> DictConfig:
    """Compose the config with the chosen files, but without any value given on the command line."""
    chosen = [
        word for word in overrides if word.lstrip("+").partition("=")[0] in groups() and "," not in word
    ]
    if GlobalHydra.instance().is_initialized():
        return hydra.compose("train", overrides=chosen)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose("train", overrides=chosen)


def named(overrides: Sequence[str]) -> list[str]:
    """Return the keys that a command line names; ``""`` for an experiment, which may set any."""
    keys = [word.lstrip("+~").partition("=")[0] for word in overrides]
    return ["" if key == "experiment" else key for key in keys]


def complete_sources(config: DictConfig) -> None:
    """Give each of ``datamodule.sources`` the values of its own file of ``conf/datamodule``, in place.

    Raises:
        FerError: A source has no known name, an option that its reader lacks, or none where it needs one.
    """
    if "sources" not in config.datamodule:
        return
    sources = config.datamodule.sources
    if not isinstance(sources, ListConfig) or not sources:
        raise FerError(f"datamodule.sources: expected {_SOURCES_EXAMPLE}, got {sources!r}.")
    for position, given in enumerate(sources):
        sources[position] = _complete(given, f"datamodule.sources, number {position + 1}")


def _complete(given: object, where: str) -> DictConfig:
    known = [choice for choice in choices("datamodule") if choice != "concat"]
    name = given.get("name") if isinstance(given, DictConfig) else None
    if not isinstance(given, DictConfig) or name not in known:
        hint = did_you_mean(str(name), known)
        wanted = f"a name ({', '.join(known)}), as in {_SOURCES_EXAMPLE}"
        raise FerError(f"{where}: expected {wanted}, got {name!r}.{hint}")
    file = OmegaConf.load(CONFIG_DIR / "datamodule" / f"{name}.yaml")
    assert isinstance(file, DictConfig)
    defaults = OmegaConf.masked_copy(file, [str(key) for key in file if key not in _OF_THE_WHOLE])
    options = [str(option) for option in defaults]
    if strange := [str(option) for option in given if str(option) not in options]:
        hint = did_you_mean(strange[0], options)
        raise FerError(f"{where}: {name} has no option {strange[0]!r} but {', '.join(options)}.{hint}")
    merged = OmegaConf.merge(defaults, given)
    assert isinstance(merged, DictConfig)
    if missing := [str(key) for key in merged if OmegaConf.is_missing(merged, key)]:
        raise FerError(f"{where}: {name} needs {missing[0]}. Add {missing[0]}: … to it.")
    return merged


def check(config: DictConfig) -> None:
    """Refuse a composed config that could not train, or not honestly.

    Raises:
        FerError: A value is missing, of the wrong kind or unknown, or the monitor is no validation metric.
    """
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise FerError(f"{missing[0]} is not set. Add {missing[0]}=… to the command.")
    overrides = list(HydraConfig.get().overrides.task)
    reference = _reference(overrides)
    _check_additions(overrides, set(flat(reference)))
    check_monitor(config.monitor)
    check_values(config, reference)


def _check_additions(overrides: Sequence[str], known: set[str]) -> None:
    for word in overrides:
        key = word.lstrip("+").partition("=")[0]
        is_known = key in known or key.startswith(OPEN_KEYS) or key in groups()
        if word.startswith("+") and not is_known:
            raise FerError(
                f"Unknown option {key!r}.{did_you_mean(key, known)} All options: fer-train --cfg job"
            )
