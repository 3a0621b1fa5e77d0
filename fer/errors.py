"""The error that a user can mend, and the hint that names the nearest known word."""

import difflib
from collections.abc import Iterable


class FerError(ValueError):
    """Something that the user can put right.

    Its message is whole: where, what was expected, what came, what to do. Entry points print it without a
    traceback and exit with status 2.
    """


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'adamw'?"`` for the nearest of ``options``, or ``""`` where none is near.

    The result starts with a blank, so that it can be appended to any message. Case does not count.
    """
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""
