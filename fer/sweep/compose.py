"""Configs of trials, composed as Hydra composes those of a multirun."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from fer import options
from fer.config_dir import CONFIG_DIR
from fer.option_values import flat


class Composer:
    """Compose configs from the words of the command line and some more.

    It works in the process that starts a sweep and in its workers, wherever Hydra has set its own state.

    Args:
        words: The command line's.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self._master: Any = HydraConfig.instance().cfg
        self._loader = GlobalHydra.instance().config_loader()
        self._composed: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}

    def __call__(self, *more: str) -> DictConfig:
        """Return the config with more words, and make Hydra's part of it the current one."""
        config = self._loader.load_sweep_config(self._master, [*self.words, *more])
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    def values(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a training takes: the config resolved, as plain values, without ``sweep``.

        Args:
            chosen: Values for keys of the config, and options for its groups.

        Raises:
            FerError: A part of ``datamodule.sources`` is wrong.
        """
        groups = options.groups()
        words = [override(key, value) for key, value in chosen.items() if key in groups]
        config = self._beside(*words)
        for key, value in chosen.items():
            if key not in groups:
                OmegaConf.update(config, key, value)
        options.complete_sources(config)
        with open_dict(config):
            del config["sweep"]
        values: Any = OmegaConf.to_container(config, resolve=True)
        return values

    def _beside(self, *words: str) -> DictConfig:
        """Return a config of one's own; composing takes a fifth of a second, so it is done once."""
        if words not in self._composed:
            self._composed[words] = self(*words), HydraConfig.instance().cfg
        config, HydraConfig.instance().cfg = self._composed[words]
        return config.copy()


def command_words(words: list[str], base: DictConfig) -> list[str]:
    """Return the words that give the same config without a sweep: what its file sets is said in words.

    Args:
        words: The command line's.
        base: What they compose to, the sweep's own settings included.
    """
    # also +sweep.space={…}, ~sweep.space, hydra/launcher=…
    own = [word for word in words if re.split("[=./]", word.lstrip("+~"))[0] not in ("sweep", "hydra")]
    alone, wanted = flat(Composer(own)()), flat(base)
    for key, value in wanted.items():
        if not isinstance(value, dict) and key.split(".")[0] != "sweep" and alone.get(key, ...) != value:
            own.append(("" if key in alone else "+") + override(key, value))
    return own


def whole_command(words: list[str], objective: str) -> list[str] | None:
    """Return `command_words` without ``proxy=…`` and what tunes it; None where the trials are no proxies.

    Args:
        words: The command line's.
        objective: Of the sweep.
    """
    cheap = proxy_keys(words)
    if not cheap:
        return None
    kept = [word for word in words if word.lstrip("+").partition("=")[0] not in {"proxy", *cheap}]
    return command_words(kept, Composer(kept)(f"monitor={objective}"))


def proxy_keys(words: list[str]) -> frozenset[str]:
    """Return the keys of the config that the proxy of a command line sets; none where it has no proxy."""
    names = [word.partition("=")[2] for word in words if word.startswith("proxy=")]
    if not names or names[-1] == "null":
        return frozenset()
    proxy: Any = OmegaConf.load(CONFIG_DIR / "proxy" / f"{names[-1]}.yaml")
    return frozenset(flat(proxy))


def override(key: str, value: Any) -> str:
    """Return a key and its value as Hydra's command line takes them, e.g. ``optimizer.lr=0.01``."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    text = value if plain and str(value).lower() not in ("null", "true", "false", "nan", "inf") else None
    return f"{key}={text if text is not None else json.dumps(value, ensure_ascii=False)}"


def trial_folder(folder: Path, number: int) -> Path:
    """Return where the run of a trial lies."""
    return folder / str(number)
