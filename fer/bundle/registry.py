"""Versions of models in a folder: ``models/<name>/<n>/``, with aliases. Several may write to it at once.

There is no lock that a killed process could leave behind. A version is written beside its place and renamed
to its number, which one writer alone can take; the next one tries the next number. An alias is a small file
of its own, replaced as a whole. ``latest`` is the highest number, and in no file.
"""

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fer.bundle.files import CARD, MODEL, Bundle, read_bundle, write_card
from fer.errors import FerError, did_you_mean

LATEST, BEST = "latest", "best"
_ALIAS = re.compile(r"[a-z][a-z0-9._-]*")


@dataclass(frozen=True)
class Registry:
    """A folder of models and their versions.

    Attributes:
        folder: It is made with the first version.
    """

    folder: Path

    def register(self, bundle: Bundle) -> Bundle:
        """Copy a bundle into the registry as the next version of its name.

        Returns:
            The bundle of the registry; its card says which version it is.

        Raises:
            FerError: The registry cannot be written.
        """
        place = self.folder / bundle.card.name
        with _draft(place) as draft:
            shutil.copyfile(bundle.model_path, draft / MODEL)
            version = self._next(bundle.card.name)
            while True:
                write_card(draft, replace(bundle.card, version=version))
                if _take(draft, place / str(version)):
                    return read_bundle(place / str(version))
                version += 1

    def _next(self, name: str) -> int:
        """Return the number after the highest; one that an alias stands for is never given again."""
        named = []
        for file in (self.folder / name).glob("*.json"):
            with suppress(FerError):
                named.append(_read_alias(file))
        return max([*self.versions(name), *named], default=0) + 1

    def names(self) -> list[str]:
        """Return the names of all models that have a version."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [folder.name for folder in folders if self.versions(folder.name)]

    def versions(self, name: str) -> list[int]:
        """Return the versions of a model, ascending; none where there is no such model."""
        place = self.folder / name
        found = place.iterdir() if place.is_dir() else iter(())
        return sorted(int(path.name) for path in found if path.name.isdecimal() and (path / CARD).is_file())

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a model stands for; damaged ones are left out."""
        found = {LATEST: self.versions(name)[-1]}
        for file in sorted((self.folder / name).glob("*.json")):
            with suppress(FerError):
                found[file.stem] = _read_alias(file)
        return found

    def place(self, reference: str) -> Path:
        """Return the folder of a version.

        Args:
            reference: ``NAME:N``, ``NAME:ALIAS``, or ``NAME``, which is its latest version.

        Raises:
            FerError: There is no such model, version or alias; the message names those that are there.
        """
        name, _, which = reference.partition(":")
        if name not in self.names():
            known = self.names()
            hint = did_you_mean(name, known)
            raise FerError(
                f"{self.folder}: no model {name!r}; there are: {', '.join(known) or 'none'}.{hint}"
            )
        versions = self.versions(name)
        version = int(which) if which.isdecimal() else self._version_of(name, which or LATEST)
        if version not in versions:
            known = [*map(str, versions), *self.aliases(name)]
            raise FerError(f"{self.folder}: {name} has no version {which!r}; there are: {', '.join(known)}.")
        return self.folder / name / str(version)

    def _version_of(self, name: str, alias: str) -> int | None:
        """Return what an alias stands for; None where there is no such one. Others may be damaged."""
        if alias == LATEST:
            return self.versions(name)[-1]
        file = self.folder / name / f"{alias}.json"
        return _read_alias(file) if _ALIAS.fullmatch(alias) and file.is_file() else None

    def find(self, reference: str) -> Bundle:
        """Open a version, see `place`.

        Raises:
            FerError: There is none, or its files are not whole.
        """
        return read_bundle(self.place(reference))

    def promote(self, reference: str, alias: str = BEST) -> int | None:
        """Let an alias stand for a version.

        Returns:
            The version that it stood for before.

        Raises:
            FerError: There is no such version, or the alias cannot be chosen.
        """
        if not _ALIAS.fullmatch(alias) or alias == LATEST:
            raise FerError(
                f"--alias {alias}: expected a word of small letters, digits and ._- that begins with a "
                "letter, and not 'latest', which is always the highest version."
            )
        bundle = self.find(reference)
        name, before = bundle.folder.parent.name, None
        with suppress(FerError):  # a damaged one is mended by this
            before = self._version_of(name, alias)
        _write_alias(self.folder / name / f"{alias}.json", int(bundle.folder.name))
        return before


@contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """Give a folder to write a version into; it is gone afterwards, unless it was taken."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=place))
        folder.chmod(0o755)  # mkdtemp's are for one user alone
    except OSError as error:
        raise _unwritable(place, error) from error
    try:
        yield folder
    except OSError as error:  # a full disk
        raise _unwritable(place, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(place: Path, error: OSError) -> FerError:
    return FerError(f"{place}: the registry cannot be written ({error.strerror}).")


def _take(draft: Path, target: Path) -> bool:
    """Move a whole version to its number; False where somebody else was quicker."""
    try:
        draft.rename(target)
    except OSError:
        if not target.exists():
            raise
        return False
    return True


def _read_alias(file: Path) -> int:
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerError(
            f"{file}: expected the version of an alias, but it is damaged. Promote again."
        ) from error


def _write_alias(file: Path, version: int) -> None:
    draft = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        draft.write_text(json.dumps({"version": version, "since": since}) + "\n", encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _unwritable(file, error) from error
