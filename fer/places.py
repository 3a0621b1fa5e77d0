"""Paths as people write them."""

import os
from pathlib import Path

from fer.errors import FerError


def at_home(name: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` put in full; as it is where a file is just called ``~x.jpg``.

    Raises:
        FerError: Nobody of that name has a home, and there is no such file.
    """
    try:
        return Path(str(name)).expanduser()  # to Hydra a name like 2013 is a number
    except RuntimeError as error:
        if (literal := Path(str(name))).exists():
            return literal
        who = literal.parts[0].removeprefix("~") or "you"
        raise FerError(
            f"{literal}: expected a path, but no home folder is known of {who}. Write it out."
        ) from error


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder, to guess what was meant; none where it cannot be listed."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
