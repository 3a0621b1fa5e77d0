"""The arguments of the command line as they were typed, where this process has replaced them by others."""

from collections.abc import Sequence

# Argument that Hydra gets -> the argument that was typed.
_TYPED: dict[str, str] = {}


def replaced(typed: str, argument: str) -> str:
    """Return the argument that stands for one that was typed, and remember which."""
    _TYPED[argument] = typed
    return argument


def as_typed(arguments: Sequence[str]) -> list[str]:
    """Return arguments with those that were replaced as they were typed, so that they can be typed again."""
    return [_TYPED.get(item, item) for item in arguments]
