"""Hydra's view of plugins: registered parts are choices, and a config file needs only the keys that differ.

Hydra composes from files before anything is typed. So a registered part is stored in Hydra's `ConfigStore`
with its declared defaults, and a file of the user (``--config-dir``, ``hydra.searchpath``) gets the keys that
it leaves out. ``model=tiny_net model.kwargs.width=64`` then works with and without a file.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from fer.core.config import Config
from fer.core.plugins import import_plugins, load_installed, named, split_names
from fer.core.registry import CALLBACKS, METRICS, MODELS, READERS, REGISTRIES, Entry, Registry
from fer.training.config import RunConfig

_GROUPS: dict[str, Registry] = {
    registry.group: registry for registry in REGISTRIES if registry is not METRICS
}


def import_named(overrides: Sequence[str]) -> None:
    """Import the modules of ``plugins=…``, and make their parts choices of Hydra.

    Raises:
        FerError: A module cannot be imported.
    """
    for item in overrides:
        key, _, value = item.lstrip("+").partition("=")
        if key == "plugins" and value != "null":
            import_plugins(split_names(value.replace("'", "").replace('"', "")))
    publish()


def publish() -> None:
    """Store the parts of all plugins that are loaded in Hydra's `ConfigStore`."""
    for group in _GROUPS.keys() & RunConfig.model_fields.keys():
        for entry in _GROUPS[group].plugins():
            node = _defaults(group, entry.name)
            ConfigStore.instance().store(entry.name, node, group, provider=entry.module)


@contextmanager
def plugin_sources() -> Iterator[None]:
    """Let Hydra read files and its store with the sources below, until the end of the context."""
    # Registers Hydra's own sources, which would otherwise replace these later.
    Plugins.instance()
    types = SourcesRegistry.instance().types
    before = dict(types)
    types |= {source.scheme(): source for source in (FileConfigSource, StructuredConfigSource)}
    try:
        yield
    finally:
        types |= before


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's files, completed with declared defaults.

    A launcher pickles it for its workers, where it imports the plugins that the user has named before a
    config is composed. Its name is that of Hydra's class, which Hydra compares.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Add the plugins, and the folder in which they were found."""
        return {**self.__dict__, "plugins": named(), "folder": str(Path.cwd())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the source in a worker."""
        folder, plugins = state.pop("folder"), state.pop("plugins")
        self.__dict__ |= state
        if plugins and folder not in sys.path:
            sys.path.append(folder)
        import_plugins(plugins)

    def is_config(self, config_path: str) -> bool:
        """Return whether there is such a file; without one, load installed plugins that may have it."""
        if super().is_config(config_path):
            return True
        group, _, name = config_path.partition("/")
        if self.provider == "main" and (registry := _GROUPS.get(group)):
            # Also if it is known: a plugin may have been loaded meanwhile, for the metric of a sweep.
            if name not in registry.names():
                load_installed()
            publish()
        return False

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file of the user with the keys that it leaves out."""
        result: ConfigResult = super().load_config(config_path)
        group = config_path.partition("/")[0]
        if self.provider not in ("main", "hydra") and isinstance(result.config, DictConfig):
            if modules := result.config.get("plugins"):
                import_plugins(list(modules))
                publish()
            if "defaults" not in result.config and group in RunConfig.model_fields:
                name = OmegaConf.to_container(result.config, resolve=False)
                defaults = _defaults(group, name.get("name") if isinstance(name, dict) else None)
                result.config = OmegaConf.merge(defaults, result.config)
        return result


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Hydra's store as it is now; Hydra copies it before it composes, and plugins are loaded meanwhile."""

    @property
    def store(self) -> ConfigStore:
        """The store of this process."""
        return ConfigStore.instance()

    @store.setter
    def store(self, _: ConfigStore) -> None:
        """Ignore the store of the time when the source was created."""


def _defaults(group: str, name: object) -> dict[str, Any]:
    """Return the declared defaults of a group, or of the part of this name in it; {} if it is not known."""
    if group == CALLBACKS.group:
        return _callback_defaults(name)
    registry = _GROUPS.get(group)
    entry = registry.find(name) if registry is not None and isinstance(name, str) else None
    config = RunConfig.model_fields[group].annotation
    if entry is not None and entry.options is not None and registry is not MODELS:
        config = entry.options
    elif isinstance(name, str) and (choice := getattr(config, "choice", None)) is not None:
        config = choice(name)
    if not isinstance(config, type) or not issubclass(config, Config):
        return {}
    values = plain_defaults(config) | ({"name": name} if isinstance(name, str) else {})
    if registry is MODELS and entry is not None and entry.options is not None:
        values["kwargs"] = plain_defaults(entry.options)
    if registry is READERS and entry is not None and entry.facts.get("files"):
        values["size"] = "${model.image_size}"
    return values


def _callback_defaults(name: object) -> dict[str, Any]:
    """Return the group ``callbacks`` with a registered callback of this name, if there is one."""
    group = RunConfig.model_fields[CALLBACKS.group].annotation
    assert isinstance(group, type)
    values = plain_defaults(group)
    entry: Entry | None = CALLBACKS.find(name) if isinstance(name, str) else None
    if entry is not None and entry.options is not None:
        values[entry.name] = plain_defaults(entry.options)
    return values


def plain_defaults(config: type[Config]) -> dict[str, Any]:
    """Return field -> default as plain values; a field without one is ``???``, which Hydra asks for."""
    values: dict[str, Any] = {}
    for field_name, field in config.model_fields.items():
        default = "???" if field.is_required() else field.get_default(call_default_factory=True)
        values[field_name] = default.to_dict() if isinstance(default, Config) else _plain(default)
    return values


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
