"""File paths as users write them."""

import os
from pathlib import Path

from fer.errors import FerError


def expand_user(name: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` and ``~user`` expanded.

    A file that is literally called ``~x.jpg`` is returned unchanged. Names that are no strings are accepted,
    because Hydra reads a folder called 2013 as a number.

    Raises:
        FerError: The user of ``~user`` is unknown, and there is no file of that literal name.
    """
    try:
        return Path(str(name)).expanduser()
    except RuntimeError as error:
        if (literal := Path(str(name))).exists():
            return literal
        user = literal.parts[0].removeprefix("~") or "the current user"
        raise FerError(
            f"{literal}: expected a path, but the home folder of {user} is unknown. Write the path in full."
        ) from error


def list_names(folder: Path) -> list[str]:
    """Return the sorted names in a folder, for suggestions; ``[]`` where it cannot be listed."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
