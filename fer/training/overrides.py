"""From overrides of the command line to a `RunConfig`: composed by Hydra, and Hydra's errors explained.

Imports Hydra but not torch, so that a mistyped option is reported at once.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.core.errors import FerError, did_you_mean
from fer.core.names import quoted
from fer.core.paths import CONFIG_DIR
from fer.core.plugins import failures, import_plugins
from fer.core.registry import REGISTRIES
from fer.training.aliases import alias_advice, choice_advice, timm_advice
from fer.training.callback_config import TARGET, take_own_parts, target_error
from fer.training.config import RunConfig

# Keys with these prefixes may be added with +: options of timm, and callbacks and loggers of one's own.
OPEN_PREFIXES = ("optimizer.", "model.kwargs.", "callbacks.", "logger.", "trainer.profiler.")
# Keys of ``conf/train.yaml`` that are no part of a run's config: what fer-train does with it.
ACTIONS = ("print_config", "lr_find", "batch_size_find")
# Extra of the package that installs them -> names of Hydra launchers.
LAUNCHERS = {
    "train": ("basic",),
    "sweep": ("joblib", "submitit_local", "submitit_slurm"),
    "ray": ("ray", "ray_aws"),
}
# Option of Hydra's Optuna sweeper -> option of ours.
SWEEPER_OPTIONS = {
    "n_trials": "sweep.n_trials=…",
    "direction": "sweep.objective=…, which knows its direction",
    "storage": "sweep.storage=…",
    "study_name": "sweep.name=…",
    "sampler": "sweep.sampler=tpe",
    "search_space": "sweep.space={…}",
    "max_batch_size": "sweep.jobs=…",
}
# Config groups with parts that plugins register.
PLUGIN_GROUPS = [registry.group for registry in REGISTRIES]
HydraError = HydraException | OmegaConfBaseException | ValueError


def groups() -> list[str]:
    """Return the names of the config groups, i.e. the folders of ``conf/``."""
    return sorted(folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir())


def choices(group: str) -> list[str]:
    """Return the choices of a config group, e.g. ``["adam", "adamw", …]``; parts of plugins are choices."""
    files = {file.stem for file in (CONFIG_DIR / group).glob("*.yaml")}
    own = [entry.name for registry in REGISTRIES if registry.group == group for entry in registry.plugins()]
    return sorted(files.union(own))


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


def to_run_config(config: DictConfig) -> RunConfig:
    """Return the typed config of a composed one, with absolute paths.

    Raises:
        FerError: A value is missing, of the wrong type or out of range, a key is unknown, or the monitor is
            not a validation metric.
    """
    dropped = ("hydra", "sweep", *ACTIONS)
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if key not in dropped])
    # With the random part of the name that the run folder has.
    OmegaConf.copy_cache(from_config=config, to_config=kept)
    config = kept
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise FerError(f"{missing[0]}: expected a value, got none. Add {missing[0]}=… to the command.")
    values: Any = OmegaConf.to_container(config, resolve=True)
    import_plugins(values.get("plugins") or [])
    own_parts = take_own_parts(values)
    return RunConfig.from_dict({**values, "own_parts": own_parts}).with_absolute_paths()


def has_default_name(config: DictConfig) -> bool:
    """Return whether ``name`` of a composed config is that of ``conf/train.yaml``."""
    name = OmegaConf.to_container(config, resolve=False)["name"]  # type: ignore[index,call-overload]
    return str(name).startswith("${run_name:")


def chosen_action(config: DictConfig) -> str | None:
    """Return ``lr_find`` or ``batch_size_find`` if one is chosen, else None.

    Raises:
        FerError: Both are, or a value is not true or false.
    """
    for key in ACTIONS:
        if not isinstance(config[key], bool):
            raise FerError(f"{key}: expected true or false, got {config[key]!r}.")
    chosen = [key for key in ACTIONS[1:] if config[key]]
    if len(chosen) > 1:
        raise FerError(
            "lr_find: expected one search, got batch_size_find=true too. Find the batch size first."
        )
    return chosen[0] if chosen else None


def check_no_action(arguments: Sequence[str]) -> None:
    """Check that a multirun has no ``lr_find`` or ``batch_size_find``.

    Raises:
        FerError: It has.
    """
    for key in ACTIONS[1:]:
        if f"{key}=true" in arguments:
            raise FerError(f"{key}: expected a single run, got a multirun. Remove {key}=true or -m.")


def print_config(config: DictConfig) -> None:
    """Print the resolved config as a tree, a branch per group and one line for each value."""
    # Imported here, because --help does not need it.
    from rich.console import Console
    from rich.tree import Tree

    def add(branch: Tree, values: Mapping[Any, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                add(branch.add(str(key)), value)
            else:
                branch.add(f"{key}: {json.dumps(value, ensure_ascii=False)}")

    tree = Tree("config", guide_style="dim")
    values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    add(tree, values)
    Console(highlight=False, markup=False, soft_wrap=True).print(tree)


def check_additions(overrides: Sequence[str]) -> None:
    """Check that keys that are added with + are passed to a library.

    Raises:
        FerError: A key is not.
    """
    added = [item.lstrip("+").partition("=")[0] for item in overrides if item.startswith("+")]
    unknown = [key for key in added if not key.startswith(OPEN_PREFIXES) and key not in groups()]
    # To compose takes a moment, and few command lines add a key.
    known = set(flatten(_reference(overrides))) if unknown else set()
    for key in unknown:
        if key not in known:
            raise _unknown_key(key, overrides)


def explain_hydra_error(error: HydraError, overrides: Sequence[str]) -> FerError:
    """Return a one-line error for what Hydra rejects, with the most similar known option."""
    text = str(error)
    if isinstance(error, ValueError):
        # a key below a list, or command-line flags that exclude each other
        space_keys = [key for key in overridden_keys(overrides) if key.startswith("sweep.space.")]
        return _unknown_key(space_keys[0], overrides) if space_keys else FerError(f"{text}.")
    if match := re.search(r"Could not find 'hydra/launcher/(\w+)'", text):
        return _missing_launcher_error(match[1])
    if match := re.search(r"Could not find 'hydra/sweeper/(\w+)'", text):
        return FerError(
            f"hydra/sweeper: expected fer (the default) or basic, got {match[1]!r}. Optuna is built in: for "
            f"a search write sweep={', sweep='.join(_searches())}, for every combination optimizer=adam,sgd."
        )
    if match := re.search(r"Ambiguous value for argument '(([^=]+)=(.*))'", text):
        return _ambiguous_error(*match.groups())
    if match := re.search(r"Sweep parameters '(.*)' requires --multirun", text):
        return FerError(
            f"{match[1]}: expected one value, got several. To train every combination: fer-train -m …"
        )
    if match := re.search(r"Could not append to config. An item is already at '(.+)'", text):
        return FerError(
            f"+{match[1]}: expected a key that the config lacks, got one that it has. Remove the plus."
        )
    if match := re.search(r"Could not find '([\w-]+)/([^']*)'", text):
        group, choice = match.groups()
        # Hydra lists the options of all folders in its search path.
        listed = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
        known = sorted({*choices(group), *listed})
        hint = did_you_mean(choice, known)
        if group == "model":
            advice = timm_advice(choice)
            hint = advice if "write" in advice or not hint else hint
        own = " One of your own needs plugins=[MODULE]." if group in PLUGIN_GROUPS else ""
        own = choice_advice(group, choice) or own
        expected = f"{group}: expected one of {', '.join(known) or '(none)'}, got {choice!r}."
        return FerError(f"{expected}{hint}{own}{failures()}")
    if match := re.search(r"full_key: (\S+)", str(error.__cause__)) or re.search(
        r"not override '(\S+)'", text
    ):
        return _unknown_key(match[1], overrides)
    if isinstance(error, MissingConfigException | ConfigCompositionException):
        return FerError(text.splitlines()[0] if text else repr(error))
    return FerError(
        f"{' '.join(text.split('See http')[0].split())} Options are written key=value. Quote a value with = "
        ", ~, spaces or accents twice: 'datamodule.path=\"/data/a=b.csv\"', and write $HOME for ~."
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


def _ambiguous_error(override: str, key: str, values: str) -> FerError:
    """Return the error for ``key=a,b`` without ``-m``."""
    return FerError(
        f"{override}: expected one value, got several. To train with each of them: fer-train -m {override}. "
        f"For a list write '{key}=[{values}]', for a text with a comma \"{key}='{values}'\"."
    )


def _searches() -> list[str]:
    return [choice for choice in choices("sweep") if choice != "grid"]


def _sweeper_key_error(key: str) -> FerError:
    """Return the error for an option of another sweeper than ours, with what to write instead."""
    name = key.removeprefix("hydra.sweeper.").split(".")[0]
    if name == "n_jobs":
        return FerError(f"{key}: unknown. For several trials at a time: hydra/launcher=joblib sweep.jobs=2.")
    instead = SWEEPER_OPTIONS.get(name)
    advice = f"write {instead}" if instead else "the options of sweeps are in docs/sweeps.md"
    return FerError(f"{key}: unknown; {advice}, with a search: sweep={', sweep='.join(_searches())}.")


def _unknown_key(key: str, overrides: Sequence[str]) -> FerError:
    if key.startswith("hydra.sweeper."):
        return _sweeper_key_error(key)
    if key.split(".")[0] == "sweep" and "sweep=grid" in overrides:
        return FerError(
            f"{key}: a grid has no such option, because it trains every combination to its end. Choose a "
            f"search instead: sweep={', sweep='.join(_searches())}."
        )
    if key.split(".")[0] == "sweep" and not any(item.startswith("sweep=") for item in overrides):
        return FerError(f"{key}: choose a sweep as well: sweep={', sweep='.join(_searches())}.")
    if f"{key}.".startswith("sweep.space."):
        return FerError(
            f"{key}: the chosen sweep's space has no such entry, or one of another kind (list, range, or "
            "one of these per choice), and kinds cannot be mixed. '+sweep.space={KEY: …}' adds an entry. "
            "'~sweep.space' '+sweep.space={…}' replaces the space; so does sweep=custom 'sweep.space={…}'."
        )
    known = [*flatten(_reference(overrides)), *groups()]
    value = next((item.partition("=")[2] for item in overrides if item.lstrip("+").startswith(f"{key}=")), "")
    if advice := alias_advice(key, value, known):
        return FerError(f"Unknown option {key!r}. {advice}")
    if key.endswith(f".{TARGET}"):
        return target_error(key.removesuffix(f".{TARGET}"), "…")
    parent = key.rpartition(".")[0] + "."
    siblings = [name for name in known if name.startswith(parent)] if "." in key else known
    hint = did_you_mean(key, siblings) or did_you_mean(key, known)
    plus = f" To pass it to the library unchanged, write +{key}=…" if key.startswith(OPEN_PREFIXES) else ""
    return FerError(f"Unknown option {key!r}.{hint}{plus} All options: fer-train --cfg job")


def _reference(overrides: Sequence[str]) -> DictConfig:
    """Return the config composed of the chosen files, without the values on the command line."""
    group_overrides = []
    for item in overrides:
        key, _, value = item.lstrip("+").partition("=")
        # A choice, not options {key: value} of the group or several choices of a multirun.
        if key in groups() and "," not in item and not value.startswith("{"):
            group_overrides.append(item)
    group_overrides += _search_path(overrides)
    if GlobalHydra.instance().is_initialized():
        return hydra.compose("train", overrides=group_overrides)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose("train", overrides=group_overrides)


def _search_path(overrides: Sequence[str]) -> list[str]:
    """Return the override of Hydra's search path, which an application keeps apart from the others."""
    running: Any = HydraConfig.instance().cfg
    known = [*overrides, *(hydra_overrides(running) if running is not None else ())]
    return [item for item in known if item.startswith("hydra.searchpath=")][-1:] or _config_dir(sys.argv[1:])


def hydra_overrides(config: Any) -> list[str]:
    """Return the overrides of ``hydra.*`` as typed, with interpolations such as ``${hydra.job.num}``."""
    items: Any = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    return list(items)


def _config_dir(arguments: Sequence[str]) -> list[str]:
    """Return ``--config-dir`` of a command line as an override of Hydra's search path."""
    for item, following in pairwise([*arguments, ""]):
        name, _, value = item.partition("=")
        if name in ("--config-dir", "-cd") and Path(folder := value or following).is_dir():
            return [f"hydra.searchpath=[{quoted(f'file://{Path(folder).absolute()}')}]"]
    return []
