"""Configs of trials, composed by Hydra as in a multirun, and the overrides that retrain a trial."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import BaseTrial, FrozenTrial

from fer.core.paths import CONFIG_DIR
from fer.training.config import RunConfig
from fer.training.overrides import explain_hydra_error, flatten, groups, to_run_config


class Composer:
    """Compose configs from the overrides of the command line and additional ones.

    Works in the process that starts a sweep and in its workers: wherever Hydra has set its global state.
    """

    def __init__(self, overrides: list[str]) -> None:
        self.overrides = overrides
        self._master: Any = HydraConfig.instance().cfg
        self._loader = GlobalHydra.instance().config_loader()
        self._composed: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}

    def __call__(self, *extra: str) -> DictConfig:
        """Return the config with extra overrides, and make its Hydra part the current one."""
        config = self._loader.load_sweep_config(self._master, [*self.overrides, *extra])
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    def run_config(self, parameters: Mapping[str, Any]) -> RunConfig:
        """Return the config of a training.

        Args:
            parameters: Values for keys of the config, and choices for its groups.

        Raises:
            FerError: A value is wrong.
        """
        choices = {key: value for key, value in parameters.items() if key in groups()}
        config = self._copy(*(format_override(group, choice) for group, choice in choices.items()))
        for key, value in parameters.items():
            if key not in choices:
                OmegaConf.update(config, key, value)
        return to_run_config(config)

    def trial_config(self, words: Sequence[str]) -> DictConfig:
        """Return the config with the overrides of a trial of a grid, and make its Hydra part the current one.

        Only choices of groups and unusual overrides are composed; plain values are set in a copy.

        Raises:
            FerError: The config has no such key.
        """
        items = OverridesParser.create().parse_overrides([*words])
        plain = [item for item in items if _is_plain(item)]
        composed = [word for word, item in zip(words, items, strict=True) if item not in plain]
        try:
            config = self._copy(*composed)
            for item in plain:
                OmegaConf.update(config, item.key_or_group, item.value())
            return config
        except (HydraException, OmegaConfBaseException):
            return self._composed_anew(words)

    def _composed_anew(self, words: Sequence[str]) -> DictConfig:
        try:
            return self(*words)
        except (HydraException, OmegaConfBaseException) as error:
            raise explain_hydra_error(error, [*self.overrides, *words]) from error

    def run_folder(self, config: DictConfig, words: Sequence[str]) -> Callable[[int], str]:
        """Return a function from a trial's number to the name of its folder, ``hydra.sweep.subdir``.

        Args:
            config: The config that `trial_config` has returned last.
            words: The overrides of the trial.
        """
        complete: Any = config.copy()
        with open_dict(complete):
            complete.hydra = HydraConfig.get().copy()  # type: ignore[attr-defined]
        OmegaConf.set_readonly(complete.hydra, False)
        complete.hydra.job.override_dirname = self._override_dirname(words, complete.hydra)
        return partial(_run_folder, complete)

    def _override_dirname(self, words: Sequence[str], hydra: Any) -> str:
        """Return ``hydra.job.override_dirname`` of a trial, without the options of the sweep."""
        items = OverridesParser.create().parse_overrides([*without_sweep_options(self.overrides), *words])
        return get_overrides_dirname(items, **hydra.job.config.override_dirname)

    def _copy(self, *extra: str) -> DictConfig:
        """Return a copy of a config; cached because composing takes a fifth of a second."""
        if extra not in self._composed:
            self._composed[extra] = self(*extra), HydraConfig.instance().cfg
        config, HydraConfig.instance().cfg = self._composed[extra]
        return config.copy()


def _run_folder(config: DictConfig, number: int) -> str:
    """Return the name of a trial's folder; its number if that would be the folder of the sweep."""
    before = HydraConfig.instance().cfg
    config.hydra.job.num, config.hydra.job.id = number, str(number)
    try:
        HydraConfig.instance().set_config(config)
        name = str(HydraConfig.get().sweep.subdir)
    finally:
        HydraConfig.instance().cfg = before
    return str(number) if name in ("", ".") else name


def _is_plain(item: Override) -> bool:
    """Return whether an override only sets a value of a key."""
    is_changed = item.type is not OverrideType.CHANGE or item.package is not None
    return not is_changed and item.key_or_group not in groups() and not isinstance(item.value(), dict)


def standalone_overrides(overrides: list[str], base: DictConfig) -> list[str]:
    """Return the overrides that give the same config without a sweep.

    Values that the sweep's config file sets become overrides.

    Args:
        overrides: The overrides of the command line.
        base: The config that they compose to, including ``sweep``.
    """
    result = without_sweep_options(overrides)
    without_sweep, expected = flatten(Composer(result)()), flatten(base)
    for key, value in expected.items():
        if (
            not isinstance(value, dict)
            and key.split(".")[0] != "sweep"
            and without_sweep.get(key, ...) != value
        ):
            result.append(("" if key in without_sweep else "+") + format_override(key, value))
    return result


def without_sweep_options(overrides: list[str]) -> list[str]:
    """Return overrides without those of the sweep and of Hydra; the path of config files is kept."""
    # Also drops +sweep.space={…}, ~sweep.space and hydra/launcher=….
    parts = {item: re.split("[=./]", item.lstrip("+~")) for item in overrides}
    return [
        item
        for item in overrides
        if parts[item][0] not in ("sweep", "hydra") or parts[item][:2] == ["hydra", "searchpath"]
    ]


def full_overrides(overrides: list[str], objective: str) -> list[str] | None:
    """Return `standalone_overrides` without ``proxy=…`` and the keys it sets; None if there is no proxy."""
    set_by_proxy = proxy_keys(overrides)
    if not set_by_proxy:
        return None
    dropped = {"proxy", *set_by_proxy}
    remaining = [item for item in overrides if item.lstrip("+").partition("=")[0] not in dropped]
    return standalone_overrides(remaining, Composer(remaining)(f"monitor={objective}"))


def proxy_keys(overrides: list[str]) -> frozenset[str]:
    """Return the config keys that the proxy on the command line sets; empty without a proxy."""
    names = [item.partition("=")[2] for item in overrides if item.startswith("proxy=")]
    if not names or names[-1] == "null":
        return frozenset()
    proxy: Any = OmegaConf.load(CONFIG_DIR / "proxy" / f"{names[-1]}.yaml")
    return frozenset(flatten(proxy))


def format_override(key: str, value: Any) -> str:
    """Return a key and its value as an override of Hydra's command line, e.g. ``optimizer.lr=0.01``."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    text = value if plain and str(value).lower() not in ("null", "true", "false", "nan", "inf") else None
    return f"{key}={text if text is not None else json.dumps(value, ensure_ascii=False)}"


def can_resume(folder: Path) -> bool:
    """Return whether a dead process left a checkpoint to resume from; otherwise create an empty folder."""
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file() and is_zipfile(last) and (folder / "run.json").is_file():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def trial_folder(folder: Path, trial: BaseTrial | FrozenTrial) -> Path:
    """Return the run folder of a trial, inside the sweep's folder; a grid names it after its overrides."""
    return folder / str(trial.user_attrs.get("folder", trial.number))
