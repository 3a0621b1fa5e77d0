"""Plugins: modules of the user with parts of their own, which register themselves when they are imported.

Only modules that the user has named (``plugins=…``, ``--plugins``, the variable ``FER_PLUGINS``) or installed
with the entry-point group ``fer.plugins`` are imported; never one that only a file names.
"""

import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from fer.core.errors import FerError

GROUP = "fer.plugins"
VARIABLE = "FER_PLUGINS"
# Of the option ``--plugins`` of all commands.
PLUGINS_HELP = "modules with models, losses, … of your own, separated by commas; docs/extending.md"
# Modules that the user has named, in order; plugins that are being imported; installed ones that failed.
_named: list[str] = []
_importing: list[str] = []
_failed: dict[str, str] = {}
_installed_is_loaded = False


def import_plugins(modules: str | Sequence[str], option: str = "plugins") -> None:
    """Import modules that the user has named; one that is imported already is skipped.

    The current folder becomes the last entry of ``sys.path``, so that it hides no installed package.

    Args:
        modules: Dotted names, or one text of several separated by commas.
        option: Where the user has named them, for messages.

    Raises:
        FerError: A module does not exist, or fails on import.
    """
    for module in split_names(modules):
        if module in _named:
            continue
        add_current_folder()
        if module.endswith(".py") or "/" in module:
            dotted = module.removesuffix(".py").strip("/").replace("/", ".")
            raise FerError(f"{option}: expected a dotted name, got {module!r}. Write {dotted}.")
        with _naming(module):
            try:
                import_module(module)
            except Exception as error:
                raise FerError(f"{option}: {_explain(module, error)}") from error
        _named.append(module)


def split_names(modules: str | Sequence[str]) -> list[str]:
    """Return names from a list, or from a text that separates them by commas."""
    items = modules.strip("[]").split(",") if isinstance(modules, str) else modules
    return [name for item in items if (name := str(item).strip())]


def load_installed() -> None:
    """Import what ``FER_PLUGINS`` names and what is installed as an entry point, once per process.

    A part that is not known calls this, so that runs without plugins do not pay for it.

    Raises:
        FerError: A module that ``FER_PLUGINS`` names cannot be imported. A broken installed plugin is kept
            for `failures` instead, because a run that does not use it can go on.
    """
    global _installed_is_loaded
    if _installed_is_loaded:
        return
    _installed_is_loaded = True
    import_plugins(os.environ.get(VARIABLE, ""), VARIABLE)
    for point in entry_points(group=GROUP):
        with _naming(point.module):
            try:
                point.load()
            except Exception as error:
                _failed[point.module] = _explain(point.module, error)


def failures() -> str:
    """Return what is wrong with installed plugins, to append to a message; empty if nothing is."""
    return "".join(f" The installed plugin {text}" for text in _failed.values())


def named() -> list[str]:
    """Return the modules that the user has named so far."""
    return list(_named)


def as_override() -> str:
    """Return `` 'plugins=[…]'`` with what the user has named, to append to a command; else nothing."""
    return f" 'plugins=[{','.join(_named)}]'" if _named else ""


def current_plugin() -> str | None:
    """Return the plugin that is being imported, which is what registers; None outside of an import."""
    return _importing[-1] if _importing else None


def missing(modules: Iterable[str]) -> list[str]:
    """Return those of the modules, as a checkpoint or a config names them, that are not imported."""
    load_installed()
    return [module for module in modules if module not in sys.modules]


def check_loaded(modules: Sequence[str], owner: str) -> None:
    """Check that plugins which a file names have been imported; they are never imported because of it.

    Args:
        modules: Their names.
        owner: What needs them, for the message.

    Raises:
        FerError: One is not imported.
    """
    if "__main__" in modules:
        raise FerError(
            f"{owner} needs what a script or notebook has registered. Move that to a module, and name the "
            "module as a plugin."
        )
    if absent := missing(modules):
        names = ",".join(absent)
        raise FerError(
            f"{owner} needs a plugin that is not loaded: {', '.join(absent)}. If you trust it, name it: "
            f"plugins=[{names}] (fer-train), --plugins {names} (other commands), {VARIABLE}={names}, or "
            f"plugins={absent} in Python.{failures()}"
        )


@contextmanager
def _naming(module: str) -> Iterator[None]:
    """Attribute what is registered meanwhile to this plugin, also what a module that it imports registers."""
    _importing.append(module)
    try:
        yield
    finally:
        _importing.pop()


def add_current_folder() -> None:
    """Let modules of the current folder be imported, after those that are installed."""
    folder = str(Path.cwd())
    if "" not in sys.path and folder not in sys.path:
        sys.path.append(folder)


def _explain(module: str, error: Exception) -> str:
    """Return why a plugin cannot be imported, in one line."""
    if isinstance(error, FerError):
        return f"{module}: {error}"
    parents = [module.rsplit(".", depth)[0] for depth in range(module.count(".") + 1)]
    if isinstance(error, ModuleNotFoundError) and error.name in parents:
        return (
            f"expected a module that can be imported, got {module!r}: there is no {error.name}. It is looked "
            f"for among installed packages, in PYTHONPATH, and in the current folder, {Path.cwd()}."
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{module} fails on import: {type(error).__name__}: {text} ({frame.filename}, line {frame.lineno})"
