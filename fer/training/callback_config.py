"""Configs of optional callbacks, and classes of one's own that the command line names by ``_target_``.

Plain callbacks are stored in checkpoints and ``config.yaml``. A ``_target_`` is code that Hydra imports and
calls, so it is read from the command line and the user's config files only: `OwnParts` is never stored in
either, and neither may contain one.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from fer.core.config import Config, Number
from fer.core.errors import FerError
from fer.core.names import quoted

TARGET = "_target_"


class SwaConfig(Config):
    """Stochastic weight averaging.

    Attributes:
        start: Fraction of the epochs after which averaging starts.
    """

    key: ClassVar[str] = "callbacks.swa"
    start: Annotated[Number, Field(ge=0, lt=1)] = 0.75


class CallbacksConfig(Config):
    """Optional callbacks; checkpoints, early stopping and the moving average have options of their own.

    Attributes:
        swa: Stochastic weight averaging; None: off.
        lr_monitor: Log the learning rate and momentum of each parameter group, step by step.
        device_stats: Log memory and utilisation of the device, step by step.

    Further keys are callbacks that a plugin has registered: ``{name: my_callback, …}`` with its options.
    """

    model_config = ConfigDict(**{**Config.model_config, "extra": "allow"})
    key: ClassVar[str] = "callbacks"
    swa: SwaConfig | None = None
    lr_monitor: bool = False
    device_stats: bool = False

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, values: Any) -> Any:
        is_plain = isinstance(values, Mapping)
        return {key: value for key, value in values.items() if value is not None} if is_plain else values

    @model_validator(mode="after")
    def _check_registered(self) -> Self:
        for name, options in self.registered():
            check_no_target(options, f"callbacks.{name}")
            if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
                raise FerError(
                    f"callbacks.{name}: expected {{name: a registered callback, …}} or, on the command line, "
                    f"{{{TARGET}: a class of Lightning's callbacks, …}}, got {options!r}."
                )
        return self

    def registered(self) -> Iterator[tuple[str, Any]]:
        """Yield key and options of the callbacks of plugins."""
        yield from (self.__pydantic_extra__ or {}).items()


@dataclass(frozen=True)
class OwnParts:
    """Callbacks, loggers and a profiler that the user has named by ``_target_``.

    Attributes:
        nodes: Key of the config, such as ``callbacks.my``, -> its values, with ``_target_``.
    """

    nodes: Mapping[str, Any] = field(default_factory=dict)


def take_own_parts(values: dict[str, Any]) -> OwnParts | None:
    """Remove nodes with a ``_target_`` from the plain values of a composed config, and return them.

    Raises:
        FerError: A ``_target_`` is where none is allowed.
    """
    nodes: dict[str, Any] = {}
    for group in ("callbacks", "logger"):
        for name, node in list((values.get(group) or {}).items()):
            if isinstance(node, Mapping) and TARGET in node:
                nodes[f"{group}.{name}"] = values[group].pop(name)
    trainer = values.get("trainer") or {}
    if isinstance(trainer.get("profiler"), Mapping):
        nodes["trainer.profiler"] = trainer["profiler"]
        trainer["profiler"] = None
    for group, node in values.items():
        check_no_target(node, group)
    return OwnParts(nodes) if nodes else None


def check_no_target(node: Any, key: str) -> None:
    """Check that values name no class.

    Raises:
        FerError: There is a ``_target_``.
    """
    if isinstance(node, Mapping):
        if TARGET in node:
            raise target_error(key, node[TARGET])
        for name, value in node.items():
            check_no_target(value, f"{key}.{name}")
    elif isinstance(node, list):
        for value in node:
            check_no_target(value, key)


def target_error(key: str, target: Any) -> FerError:
    """Return the error for a class that is named where none is allowed."""
    return FerError(
        f"{key}: expected options, got {TARGET}={target}. Only callbacks.NAME, logger.NAME and "
        f"trainer.profiler take a {TARGET}, on the command line or in a config file of yours, never in a "
        "checkpoint or a run folder. A model, loss, … of your own is a plugin: docs/extending.md."
    )


def format_node(node: Any) -> str:
    """Return plain values as a value of a Hydra override, such as ``{_target_: "my.Callback", every: 2}``."""
    if isinstance(node, Mapping):
        return "{" + ", ".join(f"{key}: {format_node(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(format_node, node)) + "]"
    return quoted(node) if isinstance(node, str) else json.dumps(node)
