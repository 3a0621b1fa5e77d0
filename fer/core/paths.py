"""Paths: user input, the config and cache folders, atomic writes."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from fer.core.errors import FerError

_PACKAGE = Path(__file__).resolve().parent.parent
# conf/ is inside the package in a wheel, and next to the package in a checkout.
CONFIG_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def expand_user(name: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` and ``~user`` expanded.

    The path of an existing file with the literal name ``~x.jpg`` is returned unchanged. Numbers are accepted,
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


def cache_folder() -> Path:
    """Return the cache folder: ``FER_CACHE_DIR``, or ``fer`` in the user's cache folder."""
    if fer_cache := os.environ.get("FER_CACHE_DIR"):
        return expand_user(fer_cache)
    user_cache = os.environ.get("XDG_CACHE_HOME")
    return expand_user(user_cache or "~/.cache") / "fer"


@contextmanager
def atomic_write(path: Path) -> Iterator[BufferedRandom]:
    """Open a temporary file, to write and read, that replaces ``path`` when the block ends without an error.

    Other processes see the old file or the complete new one. A killed process leaves a file that ends in
    ``.tmp``; the data cache deletes such files in its folder.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
