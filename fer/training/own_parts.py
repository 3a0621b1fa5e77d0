"""Build callbacks, loggers and profilers of one's own, by ``_target_`` or by the name a plugin registered."""

from dataclasses import dataclass, field
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler

from fer.core.errors import FerError
from fer.core.plugins import add_current_folder
from fer.core.registry import CALLBACKS
from fer.training.callback_config import TARGET, CallbacksConfig, OwnParts
from fer.training.loggers import first_line

# Group of the config -> class, and the module of Lightning that has such classes.
_KINDS: dict[str, tuple[type, str]] = {
    "callbacks": (Callback, "callbacks"),
    "logger": (Logger, "loggers"),
    "trainer": (Profiler, "profilers"),
}


@dataclass
class BuiltParts:
    """Callbacks, loggers and the profiler of a run that are not built from plain options."""

    callbacks: list[Callback] = field(default_factory=list)
    loggers: list[Logger] = field(default_factory=list)
    profiler: Profiler | None = None


def build_parts(callbacks: CallbacksConfig, own_parts: OwnParts | None) -> BuiltParts:
    """Build registered callbacks, and what the command line names by ``_target_``.

    Raises:
        FerError: A class is missing, refuses its options, or is of another kind.
    """
    built = BuiltParts([_registered(name, options) for name, options in callbacks.registered()])
    for key, node in (own_parts.nodes if own_parts else {}).items():
        part, (kind, module) = _instantiate(key, node), _KINDS[key.partition(".")[0]]
        if not isinstance(part, kind):
            raise FerError(
                f"{key}: expected a {kind.__name__}, got {type(part).__qualname__} from {node[TARGET]}. Name "
                f"a class of pytorch_lightning.{module}, or a subclass of {kind.__name__}."
            )
        if isinstance(part, Callback):
            built.callbacks.append(part)
        elif isinstance(part, Logger):
            built.loggers.append(part)
        elif isinstance(part, Profiler):
            built.profiler = part
    return built


def _instantiate(key: str, node: Any) -> Any:
    target = str(node[TARGET])
    try:
        add_current_folder()
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        # Hydra's own message is broken into several lines.
        reason = first_line(error.__cause__) if error.__cause__ else " ".join(str(error).split())
        advice = f"Correct {key}.{TARGET} or its options."
        if target.startswith("lightning."):
            advice = f"Write {key}.{TARGET}={target.replace('lightning.pytorch', 'pytorch_lightning', 1)}."
        raise FerError(f"{key}: expected to build {target}, got: {reason} {advice}") from error


def _registered(name: str, options: Any) -> Callback:
    entry = CALLBACKS.get(options["name"])
    built = entry.build(**entry.options.from_dict(options).options())
    if not isinstance(built, Callback):
        raise FerError(
            f"callbacks.{name}: expected {entry.origin} to return a Lightning Callback, got a "
            f"{type(built).__name__}."
        )
    return built
