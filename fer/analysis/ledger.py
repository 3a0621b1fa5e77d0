"""The ledger of test scores: every score of a test split leaves a line that stays."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fer.analysis.sketch import overlap
from fer.errors import FerError

FILENAME = "test_ledger.jsonl"
SAME_SHARE = 0.1  # of the smaller set: fewer are copies that two sets have of each other's images


@dataclass(frozen=True)
class History:
    """What a ledger says of a recipe and of the test images that it is scored on.

    Attributes:
        same_model: Earlier scores of these very weights on these images.
        same_recipe: Earlier scores of the recipe on these images, ``same_model`` and other seeds.
        recipes: Number of different recipes with a score on these images.
        damaged: Lines that cannot be read, and so may hide further scores.
    """

    same_model: int
    same_recipe: int
    recipes: int
    damaged: int


class Ledger:
    """An append-only file with a JSON object on each line. It may be written by several processes at once.

    Args:
        folder: The folder of all runs, ``outputs``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILENAME

    def append(self, *entries: Mapping[str, Any]) -> Self:
        """Add lines, side by side and whole.

        Args:
            entries: What `entry` returns.

        Raises:
            FerError: The file cannot be written. The score must then not be shown.
        """
        lines = "".join(f"{json.dumps(dict(entry), sort_keys=True)}\n" for entry in entries)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _write_locked(file, lines.encode())
            finally:
                os.close(file)  # gives the lock back
        except OSError as error:
            raise FerError(
                f"{self.path}: a score of a test split must be entered here, but the file cannot be written "
                f"({error.strerror}). Make it writable, or copy the run to a folder that is."
            ) from error
        return self

    def entries(self) -> tuple[list[dict[str, Any]], int]:
        """Return all entries, the oldest first, and the number of lines that are none."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise FerError(f"{self.path}: cannot be read ({error.strerror}).") from error
        parsed = [_parse(line) for line in lines if line.strip()]
        found = [entry for entry in parsed if entry is not None]
        return found, len(parsed) - len(found)

    def history(self, about: Mapping[str, Any]) -> History:
        """Count what has been scored before.

        Args:
            about: Of the predictions: ``model_sha256``, ``recipe_sha256``, ``test_images``, ``test_marks``,
                ``manifest``, and of an ensemble ``members``, whose scores count as its own.
        """
        entries, damaged = self.entries()
        of_all = (about, *about.get("members", ()))
        recipes, models = ({one[key] for one in of_all} for key in ("recipe_sha256", "model_sha256"))
        here = [entry for entry in entries if _are_same(entry, about)]
        recipe = [entry for entry in here if entry.get("recipe_sha256") in recipes]
        model = [entry for entry in recipe if entry.get("model_sha256") in models]
        return History(len(model), len(recipe), len({entry.get("recipe_sha256") for entry in here}), damaged)


def entry(about: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ledger keeps of a score.

    Args:
        about: Of the predictions.
        result: Score -> plain values, with n and interval.
    """
    keys = (
        "run",
        "checkpoint",
        "seed",
        "model_sha256",
        "recipe_sha256",
        "data",
        "split",
        "role",
        "manifest",
        "test_images",
        "test_marks",
        "tta",
    )
    return {"when": about["created"], **{key: about.get(key) for key in keys}, "result": dict(result)}


def _write_locked(file: int, lines: bytes) -> None:
    """Write at the end of a file, alone, on a line of its own."""
    _lock(file)
    size = os.fstat(file).st_size
    if size and _last_byte(file, size) != b"\n":  # what wrote there was killed, or the disk was full
        lines = b"\n" + lines
    while lines:
        lines = lines[os.write(file, lines) :]
    os.fsync(file)


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)


def _lock(file: int) -> None:
    with suppress(ImportError):  # Windows, where appending a line at once has to do
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two scores are of the same test images, or of so many that one tells of the other.

    In another order, file format or size, gray or in colour, a tenth of them: the marks tell.
    """
    marks = [about.get("test_marks") or () for about in (one, other)]
    return _images(one) == _images(other) or overlap(*marks) >= SAME_SHARE


def _images(about: Mapping[str, Any]) -> str | None:
    """Return the name of the test images among those scored, by content."""
    if about.get("test_images"):
        return str(about["test_images"])
    manifest = about.get("manifest") or {}
    return manifest.get("pixels_sha256") or manifest.get("files_sha256")
