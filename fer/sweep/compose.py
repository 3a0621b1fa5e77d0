"""Configs of trials, composed by Hydra as in a multirun."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from fer.core.paths import CONFIG_DIR
from fer.training import config as train_config
from fer.training.config import flatten


class Composer:
    """Compose configs from the overrides of the command line and additional ones.

    Works in the process that starts a sweep and in its workers: wherever Hydra has set its global state.

    Args:
        overrides: The command line's.
    """

    def __init__(self, overrides: list[str]) -> None:
        self.overrides = overrides
        self._master: Any = HydraConfig.instance().cfg
        self._loader = GlobalHydra.instance().config_loader()
        self._composed: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}

    def __call__(self, *more: str) -> DictConfig:
        """Return the config with more overrides, and make its Hydra part the current one."""
        config = self._loader.load_sweep_config(self._master, [*self.overrides, *more])
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    def values(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config of a training: resolved, as plain values, without ``sweep``.

        Args:
            parameters: Values for keys of the config, and options for its groups.

        Raises:
            FerError: An entry of ``datamodule.sources`` is wrong.
        """
        groups = train_config.groups()
        choices = [override(key, value) for key, value in parameters.items() if key in groups]
        config = self._copy(*choices)
        for key, value in parameters.items():
            if key not in groups:
                OmegaConf.update(config, key, value)
        train_config.complete_sources(config)
        with open_dict(config):
            del config["sweep"]
        values: Any = OmegaConf.to_container(config, resolve=True)
        return values

    def _copy(self, *more: str) -> DictConfig:
        """Return a copy of a config; cached, as composing takes a fifth of a second."""
        if more not in self._composed:
            self._composed[more] = self(*more), HydraConfig.instance().cfg
        config, HydraConfig.instance().cfg = self._composed[more]
        return config.copy()


def standalone_overrides(overrides: list[str], base: DictConfig) -> list[str]:
    """Return the overrides that give the same config without a sweep.

    What the sweep's config file sets becomes an override.

    Args:
        overrides: The command line's.
        base: The config that they compose to, the sweep's own settings included.
    """
    # also drops +sweep.space={…}, ~sweep.space, hydra/launcher=…
    kept = [item for item in overrides if re.split("[=./]", item.lstrip("+~"))[0] not in ("sweep", "hydra")]
    without_sweep, wanted = flatten(Composer(kept)()), flatten(base)
    for key, value in wanted.items():
        if (
            not isinstance(value, dict)
            and key.split(".")[0] != "sweep"
            and without_sweep.get(key, ...) != value
        ):
            kept.append(("" if key in without_sweep else "+") + override(key, value))
    return kept


def full_overrides(overrides: list[str], objective: str) -> list[str] | None:
    """Return `standalone_overrides` without ``proxy=…`` and the keys it sets; None if there is no proxy.

    Args:
        overrides: The command line's.
        objective: Metric of the sweep.
    """
    set_by_proxy = proxy_keys(overrides)
    if not set_by_proxy:
        return None
    kept = [item for item in overrides if item.lstrip("+").partition("=")[0] not in {"proxy", *set_by_proxy}]
    return standalone_overrides(kept, Composer(kept)(f"monitor={objective}"))


def proxy_keys(overrides: list[str]) -> frozenset[str]:
    """Return the keys of the config that the proxy of a command line sets; empty without a proxy."""
    names = [item.partition("=")[2] for item in overrides if item.startswith("proxy=")]
    if not names or names[-1] == "null":
        return frozenset()
    proxy: Any = OmegaConf.load(CONFIG_DIR / "proxy" / f"{names[-1]}.yaml")
    return frozenset(flatten(proxy))


def override(key: str, value: Any) -> str:
    """Return a key and its value as an override of Hydra's command line, e.g. ``optimizer.lr=0.01``."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    text = value if plain and str(value).lower() not in ("null", "true", "false", "nan", "inf") else None
    return f"{key}={text if text is not None else json.dumps(value, ensure_ascii=False)}"


def trial_folder(folder: Path, number: int) -> Path:
    """Return the run folder of a trial, inside the sweep's folder."""
    return folder / str(number)
