"""`FerError`, the error that a user can fix, and the hint that suggests the nearest known name."""

import difflib
from collections.abc import Iterable


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
