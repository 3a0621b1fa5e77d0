"""Resolvers of ``conf/train.yaml``: ``choice``, ``run_name`` and ``file_name``.

``hydra_plugins/fer_resolvers`` registers them wherever Hydra is initialised, so that ``hydra.compose`` works
outside fer-train.
"""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fer.core.names import file_name
from fer.training.run_folder import run_name


def register_resolvers() -> None:
    """Register the resolvers; repeated calls are allowed."""
    OmegaConf.register_new_resolver("choice", _choice, replace=True)
    # Cached in the config, because each call gives another random name.
    OmegaConf.register_new_resolver("run_name", run_name, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("file_name", lambda name: file_name(str(name)), replace=True)


def _choice(group: str, *, _root_: DictConfig) -> str | None:
    """Return the chosen file of a config group.

    In a config that was composed outside a Hydra application, without its ``hydra`` node, the choices are not
    known; the ``name`` in the group is returned instead, None without one.
    """
    configs: tuple[Any, ...] = (_root_, HydraConfig.instance().cfg)
    for config in configs:
        if config is not None and "hydra" in config:
            return config.hydra.runtime.choices.get(group)
    return _root_[group].name if group in _root_ else None
