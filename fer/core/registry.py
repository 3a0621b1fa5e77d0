"""Registries of parts by name: those of this package, and those that plugins add.

An entry has a name, what builds the part, and the config class of its options. Names of this package are
known without importing what they name, as ``"module:attribute"``, so that options are checked before torch
is loaded. `fer.register_model` and its like are the public functions.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any

from fer.core.errors import FerError, did_you_mean
from fer.core.plugins import current_plugin, failures, load_installed

Builder = Callable[..., Any]


@dataclass
class Entry:
    """A registered part.

    Attributes:
        name: Its name in configs.
        reference: What builds it: a function or class, or its ``"module:attribute"``.
        module: The module that the user has named or installed, which registered it.
        options: Config class of its options (`fer.core.config.Config`); None if they are not declared.
        facts: What else its kind needs to know, such as the ``mode`` of a metric.
    """

    name: str
    reference: Builder | str
    module: str
    options: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def build(self) -> Builder:
        """The function or class, imported if necessary."""
        if not isinstance(self.reference, str):
            return self.reference
        module, _, attribute = self.reference.partition(":")
        built: Builder = getattr(import_module(module), attribute)
        return built

    @property
    def is_builtin(self) -> bool:
        """Whether it is a part of this package, which are named by text."""
        return isinstance(self.reference, str)

    @property
    def origin(self) -> str:
        """Module and name of what builds it."""
        if isinstance(self.reference, str):
            return self.reference.replace(":", ".")
        owner = getattr(self.reference, "__module__", self.module)
        return f"{owner}.{getattr(self.reference, '__qualname__', self.name)}"


def _caller() -> str:
    """Return the module that registers: the nearest one outside of this package."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "fer":
        frame = frame.f_back
    return "__main__" if frame is None else str(frame.f_globals.get("__name__"))


class Registry:
    """Parts of one kind by name.

    Args:
        kind: What they are, for messages.
        group: Their config group, or the key that names them.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._entries: dict[str, Entry] = {}
        self._reserved: dict[str, str] = {}

    def reserve(self, owner: str, *names: str) -> None:
        """Keep names of another library, for which no plugin is loaded, from being registered."""
        self._reserved |= dict.fromkeys(names, owner)

    def add(self, name: str, reference: Builder | str, options: Any = None, **facts: Any) -> Entry:
        """Add a part; one that is defined again, as in a notebook, replaces itself.

        Args:
            name: Its name: letters, digits and ``_ - .``, beginning with a letter.
            reference: What builds it, or its ``"module:attribute"``.
            options: Config class of its options.
            facts: What else its kind needs to know.

        Returns:
            The entry, whose ``options`` may be set later.

        Raises:
            FerError: The name is in use or not a valid name.
        """
        own = isinstance(reference, str)
        module = str(reference).partition(":")[0] if own else current_plugin() or _caller()
        entry = Entry(name, reference, module, options, facts)
        if not name[:1].isalpha() or not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
            raise FerError(
                f"{self.kind} {name!r}: expected a name of letters, digits and _-. that begins with a "
                f"letter, such as tiny_net. Rename it in {module}."
            )
        if name in self._reserved:
            raise FerError(
                f"{self.kind} {name!r}: registered by {module}, but {self._reserved[name]} has one of this "
                "name. Choose another name."
            )
        if (known := self._entries.get(name)) is not None and known.origin != entry.origin:
            other = known if entry.is_builtin else entry
            raise FerError(
                f"{self.kind} {name!r}: registered twice, by {known.module} ({known.origin}) and by {module} "
                f"({entry.origin}). Choose another name in {other.module}."
            )
        self._entries[name] = entry
        return entry

    def __iter__(self) -> Iterator[Entry]:
        """Yield the parts that are known now, without loading installed plugins."""
        return iter(list(self._entries.values()))

    def find(self, name: str) -> Entry | None:
        """Return a part; plugins in ``FER_PLUGINS`` and installed ones are loaded if it is not known."""
        if name not in self._entries and name not in self._reserved:
            load_installed()
        return self._entries.get(name)

    def get(self, name: str) -> Entry:
        """Return a part.

        Raises:
            FerError: There is none of this name; the message has the names, and the nearest of them.
        """
        if (entry := self.find(name)) is None:
            raise FerError(
                f"{self.group}: expected one of {', '.join(sorted(self._entries)) or '(none)'}, got {name!r}."
                f"{did_you_mean(name, self._entries)}{failures()}"
            )
        return entry

    def names(self) -> list[str]:
        """Return the names that are known now."""
        return list(self._entries)

    def plugins(self) -> list[Entry]:
        """Return the parts of plugins that are known now."""
        return [entry for entry in self if not entry.is_builtin]


MODELS = Registry("model", "model")
ATTENTIONS = Registry("attention", "attention")
LOSSES = Registry("loss", "loss")
OPTIMIZERS = Registry("optimizer", "optimizer")
SCHEDULERS = Registry("scheduler", "scheduler")
AUGMENTATIONS = Registry("augmentation", "augmentation")
READERS = Registry("reader", "datamodule")
METRICS = Registry("metric", "monitor")
CALLBACKS = Registry("callback", "callbacks")
REGISTRIES = (
    MODELS, ATTENTIONS, LOSSES, OPTIMIZERS, SCHEDULERS, AUGMENTATIONS, READERS, METRICS, CALLBACKS,
)  # fmt: skip
