"""A registry of bundles, ``models/<name>/<n>/`` with aliases, and `find_bundle`, which opens a model by name.

Several processes may write to a registry at once. There are no lock files that a killed process could leave
behind. A version is written to a temporary folder and renamed to its number, which succeeds for one writer
only; the others try the next number. An alias is a small JSON file, replaced atomically. ``latest`` is the
highest number and is not stored.
"""

import itertools
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fer.bundle.files import CARD, MODEL, Bundle, read_bundle, write_card
from fer.bundle.hub import load_from_hub
from fer.core.errors import FerError, did_you_mean
from fer.core.hub import is_on_hub
from fer.core.names import is_reserved
from fer.core.paths import atomic_write

LATEST, BEST = "latest", "best"
_ALIAS = re.compile(r"[a-z][a-z0-9._-]*")
# Bundles that come with the package.
ZOO = Path(__file__).parent.parent / "zoo"
# Default registry, to which fer-export --register adds models.
REGISTRY = Path("models")


@dataclass(frozen=True)
class Registry:
    """A folder of models and their versions.

    Attributes:
        folder: Root folder; created with the first version.
    """

    folder: Path

    def register(self, bundle: Bundle) -> Bundle:
        """Copy a bundle into the registry as the next version of its name.

        Returns:
            The registered bundle; its card has the version.

        Raises:
            FerError: A model of the package has its name, or the registry cannot be written.
        """
        check_new_name(bundle.card.name)
        model = self.folder / bundle.card.name
        with _temporary_folder(model) as draft:
            shutil.copyfile(bundle.model_path, draft / MODEL)
            for version in itertools.count(self._next(bundle.card.name)):
                write_card(draft, replace(bundle.card, version=version))
                if _claim(draft, model / str(version)):
                    break
        return read_bundle(model / str(version))

    def _next(self, name: str) -> int:
        """Return the next version: above all versions, also above deleted ones that an alias still names."""
        return max([*self.versions(name), *self._stored_aliases(name).values()], default=0) + 1

    def names(self) -> list[str]:
        """Return the names of all models that have a version."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [folder.name for folder in folders if self.versions(folder.name)]

    def versions(self, name: str) -> list[int]:
        """Return the versions of a model in ascending order; empty if there is no such model."""
        model = self.folder / name
        paths = model.iterdir() if model.is_dir() else iter(())
        return sorted(int(path.name) for path in paths if path.name.isdecimal() and (path / CARD).is_file())

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version of each alias of a model; damaged alias files are skipped."""
        return {LATEST: self.versions(name)[-1], **self._stored_aliases(name)}

    def _stored_aliases(self, name: str) -> dict[str, int]:
        aliases = {}
        for file in sorted((self.folder / name).glob("*.json")):
            with suppress(FerError):
                aliases[file.stem] = _read_alias(file)
        return aliases

    def resolve(self, reference: str) -> Path:
        """Return the folder of a version.

        Args:
            reference: ``NAME:N``, ``NAME:ALIAS``, or ``NAME`` for the latest version.

        Raises:
            FerError: There is no such model, version or alias; the message lists the existing ones.
        """
        name, _, which = reference.partition(":")
        if name not in self.names():
            known = self.names()
            hint = did_you_mean(name, known)
            raise FerError(
                f"{self.folder}: expected one of these models: {', '.join(known) or 'none'}, got "
                f"{name!r}.{hint}"
            )
        versions = self.versions(name)
        version = int(which) if which.isdecimal() else self._version_of(name, which or LATEST)
        if version not in versions:
            known = [*map(str, versions), *self.aliases(name)]
            raise FerError(
                f"{self.folder}: {name} has no version {which!r}. It has these: {', '.join(known)}."
            )
        return self.folder / name / str(version)

    def _version_of(self, name: str, alias: str) -> int | None:
        """Return the version of an alias; None if there is no such alias. Reads that alias file only."""
        if alias == LATEST:
            return self.versions(name)[-1]
        file = self.folder / name / f"{alias}.json"
        return _read_alias(file) if _ALIAS.fullmatch(alias) and file.is_file() else None

    def load(self, reference: str) -> Bundle:
        """Open a version; see `resolve`.

        Raises:
            FerError: There is no such version, or its files are invalid.
        """
        return read_bundle(self.resolve(reference))

    def promote(self, reference: str, alias: str = BEST) -> int | None:
        """Point an alias to a version.

        Returns:
            The version that the alias pointed to before; None if it is new or was damaged.

        Raises:
            FerError: There is no such version, or the alias is not allowed.
        """
        if not _ALIAS.fullmatch(alias) or alias == LATEST or is_reserved(alias):
            raise FerError(
                f"--alias {alias}: expected lower-case letters, digits and . _ -, starting with a letter, "
                "and not 'latest', which is always the highest version, or a name that Windows refuses. "
                "Choose another name."
            )
        bundle = self.load(reference)
        name, before = bundle.folder.parent.name, None
        # A damaged alias file is replaced below.
        with suppress(FerError):
            before = self._version_of(name, alias)
        _write_alias(self.folder / name / f"{alias}.json", int(bundle.folder.name))
        return before


def find_bundle(model: str | Path | Bundle | None = None) -> Bundle:
    """Open a bundle.

    Args:
        model: A bundle; the folder of one; ``NAME``, ``NAME:N`` or ``NAME:ALIAS`` in the registry
            ``models/``; the name of a model that comes with the package, if the registry has none of that
            name; or ``hf:owner/name[@revision]`` on the Hugging Face Hub. None: the default model of the
            package.

    Raises:
        FerError: There is no such bundle, or it is invalid (see `read_bundle`).
    """
    if isinstance(model, Bundle):
        return model
    if model is None:
        if not packaged_models():
            raise FerError(
                "No model comes with this installation. Name one: --model RUN/bundle (see fer-export)."
            )
        return read_bundle(ZOO / packaged_models()[0])
    if is_on_hub(model):
        return load_from_hub(str(model))
    try:
        if isinstance(model, str) and "/" not in model and not (Path(model) / CARD).is_file():
            return _find_by_name(model)
        return read_bundle(model)
    except OSError as error:
        # No permission, or the name is too long.
        raise FerError(f"{str(model)[:200]}: cannot be opened ({error.strerror}).") from error


def packaged_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return [card.parent.name for card in sorted(ZOO.glob(f"*/{CARD}"))]


def check_new_name(name: str) -> None:
    """Check the name of a model that is added to a registry.

    Raises:
        FerError: A model of the package has this name. The new one would hide it.
    """
    if name in packaged_models():
        raise FerError(
            f"--name: expected another name, because {name!r} is a model of the package, which a registered "
            "model of this name would hide. Choose another name with --name NAME."
        )


def model_folder(name: str, registry: Registry) -> Path | None:
    """Return the folder of a model by name, from the registry or else the package; None if neither has it.

    Raises:
        FerError: The registry has the model, but not this version or alias of it.
    """
    if (base := name.partition(":")[0]) in registry.names():
        if base in packaged_models():
            warnings.warn(
                f"{base}: the version in {registry.folder} hides the model of the package. To use that one, "
                "rename the folder in the registry.",
                stacklevel=2,
            )
        return registry.resolve(name)
    return ZOO / name if name in packaged_models() else None


def unknown_model(name: str, registry: Registry) -> FerError:
    """Return the error on a name that is no model, with the names of the models that there are."""
    # A model of the registry hides one of the package.
    known = list(dict.fromkeys([*packaged_models(), *registry.names()]))
    return FerError(
        f"{name}: expected the folder of a bundle, or one of these models: {', '.join(known) or 'none'}."
        f"{did_you_mean(name, known)}"
    )


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a folder to write a version into; it is removed afterwards unless it was renamed."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
        # mkdtemp makes folders that only their owner can read.
        folder.chmod(0o755)
    except OSError as error:
        raise _not_writable_error(parent, error) from error
    try:
        yield folder
    except OSError as error:
        # For example, the disk is full.
        raise _not_writable_error(parent, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_writable_error(path: Path, error: OSError) -> FerError:
    return FerError(f"{path}: the registry cannot be written ({error.strerror}).")


def _claim(draft: Path, target: Path) -> bool:
    """Rename a complete version to its number; return False if another process took the number first."""
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
            f"{file}: expected the version of an alias, got damaged JSON. Promote again."
        ) from error


def _write_alias(file: Path, version: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with atomic_write(file) as temporary:
            temporary.write(json.dumps({"version": version, "since": since}).encode() + b"\n")
    except OSError as error:
        raise _not_writable_error(file, error) from error


def _find_by_name(name: str) -> Bundle:
    registry = Registry(REGISTRY)
    if (folder := model_folder(name, registry)) is not None:
        return read_bundle(folder)
    if Path(name).exists():
        # Raises an error that names the missing file.
        return read_bundle(name)
    raise unknown_model(name, registry)
