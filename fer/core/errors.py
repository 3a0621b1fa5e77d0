"""`FerError`, the error that a user can fix, and hints: the nearest known name, and what to install."""

import difflib
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType


class FerError(ValueError):
    """An error that the user can fix.

    Its message is complete: ``KEY or FILE: expected X, got Y. What to do.`` Entry points print it without a
    traceback and exit with status 2.
    """


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'adamw'?"`` for the option nearest to ``word``, or ``""`` if none is near.

    The result starts with a space, so that it can be appended to any message. Case is ignored.
    """
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def installation_hint(error: ModuleNotFoundError) -> str | None:
    """Return how to install a missing library; None if the missing module is one of this package, a bug."""
    if error.name is None or error.name.partition(".")[0] == "fer":
        return None
    return (
        f"{error.name} is not installed. Training, evaluation and sweeps need more packages than prediction: "
        "pip install 'fer-lightning[train,sweep]', or use uv run in a checkout."
    )


def import_with_hint(module: str) -> ModuleType:
    """Import a module.

    Raises:
        ModuleNotFoundError: A library is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (hint := installation_hint(error)) is None:
            raise
        raise ModuleNotFoundError(hint, name=error.name) from error
