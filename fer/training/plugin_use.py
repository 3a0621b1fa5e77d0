"""Which parts of a config are of plugins: their modules are stored with it, and have to be loaded."""

from collections.abc import Iterator, Mapping
from typing import Any

from fer.core.plugins import check_loaded, split_names
from fer.core.registry import (
    AUGMENTATIONS,
    CALLBACKS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    READERS,
    REGISTRIES,
    SCHEDULERS,
    Registry,
)

# Any name may be one of timm, so that an unknown one says nothing about plugins.
_OPEN = (MODELS, OPTIMIZERS)
# What a trained network no longer needs. An optimizer may have any name, so its config is read without it.
_TRAINING = (LOSSES, SCHEDULERS, AUGMENTATIONS, METRICS, CALLBACKS)


def with_plugins(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run config with the modules of all plugins that it uses under ``plugins``.

    Raises:
        FerError: A part is not known, and a module that the values name is not loaded.
    """
    modules = split_names(values.get("plugins") or [])
    for registry, name in _names(values):
        entry = registry.find(name)
        if entry is None and modules and registry not in _OPEN:
            check_loaded(modules, f"{registry.group}={name}")
        if entry is not None and not entry.is_builtin and entry.module not in modules:
            modules.append(entry.module)
    return {**values, "plugins": modules} if modules or "plugins" in values else dict(values)


def without_unknown_training_parts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored values of a run without training parts whose plugin is not loaded.

    So a run can be scored and exported with the plugins of its model, attention and data reader alone.

    Args:
        values: A run config. Without ``plugins`` it is returned as it is, because all its parts are known.
    """
    kept = dict(values)
    if not values.get("plugins"):
        return kept
    for registry, name in _names(values):
        if registry not in _TRAINING or registry.find(name) is not None:
            continue
        if registry is CALLBACKS:
            callbacks = kept[registry.group].items()
            kept[registry.group] = {key: node for key, node in callbacks if _get(node, "name") != name}
        else:
            kept.pop(registry.group)
    return kept


def _names(values: Mapping[str, Any]) -> Iterator[tuple[Registry, str]]:
    """Yield the names of registered parts, each with its registry."""
    for registry in REGISTRIES:
        node = values.get(registry.group)
        if registry is METRICS:
            if isinstance(node, str) and node.count("/") == 1 and node.startswith("val/"):
                yield registry, node.removeprefix("val/")
            continue
        nodes = [node]
        if registry is READERS:
            nodes += _get(node, "sources") or []
        if registry is CALLBACKS:
            nodes = list(_plain(node).values())
        yield from ((registry, name) for item in nodes if isinstance(name := _get(item, "name"), str))
        if registry is OPTIMIZERS and isinstance(base := _get(node, "base"), str):
            yield registry, base


def _get(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else getattr(node, key, None)


def _plain(node: Any) -> Mapping[str, Any]:
    """Return the options of a group by key."""
    if isinstance(node, Mapping):
        return node
    return dict(node) if node is not None else {}
