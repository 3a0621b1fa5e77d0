"""Which parts of a config are of plugins: their modules are stored with it, and have to be loaded."""

from collections.abc import Iterator, Mapping
from typing import Any

from fer.core.plugins import check_loaded, split_names
from fer.core.registry import CALLBACKS, METRICS, MODELS, OPTIMIZERS, READERS, REGISTRIES, Registry

# Any name may be one of timm, so that an unknown one says nothing about plugins.
_OPEN = (MODELS, OPTIMIZERS)


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
