"""Read and write bundles: folders with `model.onnx`, `card.json` and `README.md`."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fer.bundle.card import Card, read_card, to_json
from fer.bundle.readme import readme
from fer.core.errors import FerError

MODEL, CARD, README = "model.onnx", "card.json", "README.md"
FILES = {MODEL, CARD, README}
# Name of the previous bundle inside the staging folder while it is being replaced.
_PREVIOUS = "earlier"


@dataclass(frozen=True)
class Bundle:
    """An exported model.

    Attributes:
        folder: Folder with the bundle's files.
        card: The content of its `card.json`.
        origin: ``hf:owner/name@commit`` if it was loaded from the Hub, else empty.
    """

    folder: Path
    card: Card
    origin: str = ""

    @property
    def model_path(self) -> Path:
        """Return the path of the ONNX file."""
        return self.folder / MODEL


def read_bundle(folder: str | Path) -> Bundle:
    """Open a bundle and check that its model is the one that the card describes.

    Raises:
        FerError: A file is missing, the card is invalid, or the model's SHA-256 differs from the card.
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        inner = folder / "bundle"
        advice = f"Use {inner}" if (inner / CARD).is_file() else "fer-export RUN writes one"
        raise FerError(f"{folder}: expected a bundle with {MODEL} and {CARD}. {advice}.")
    bundle = Bundle(folder, read_card(folder / CARD))
    if not bundle.model_path.is_file():
        raise FerError(f"{bundle.model_path}: the card is there, but its model is missing. Export it again.")
    digest = sha256(bundle.model_path)
    if digest != bundle.card.model["sha256"]:
        raise FerError(
            f"{bundle.model_path}: expected SHA-256 {bundle.card.model['sha256'][:12]}… as on the card, "
            f"got {digest[:12]}…. The file was changed or truncated; export or download it again."
        )
    return bundle


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json` and the `README.md` generated from it."""
    (folder / CARD).write_text(to_json(card), encoding="utf-8")
    (folder / README).write_text(readme(card), encoding="utf-8")


@contextmanager
def staging_folder(target: Path, files: Set[str] = FILES) -> Iterator[Path]:
    """Yield an empty folder next to ``target`` that replaces it if the block ends without an error.

    Readers never see a partly written bundle, and the previous bundle stays until the new one is complete.

    Args:
        target: Folder of the bundle: a new folder, or a previous bundle to be replaced.
        files: Names of the files that a previous one may contain.

    Raises:
        FerError: ``target`` is not a bundle, or cannot be written.
    """
    target = target.resolve()
    check_replaceable(target, files)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise FerError(f"{target}: cannot be written ({error.strerror}). Choose another folder.") from error
    try:
        folder = staging / target.name
        folder.mkdir()
        yield folder
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _replace(folder, target, staging)
    shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(target: Path, files: Set[str] = FILES) -> None:
    """Check that ``target`` is new or a previous bundle of ``files``, so that nothing else is overwritten.

    Raises:
        FerError: It is a file, the current folder, or a folder that contains other files.
    """
    if not target.exists():
        return
    if target == Path.cwd():
        raise FerError(f"{target}: expected a folder other than the current one. Name a folder inside it.")
    others = {path.name for path in target.iterdir()} - files if target.is_dir() else {target.name}
    if others:
        raise FerError(
            f"{target}: expected a new folder or a previous export, got {', '.join(sorted(others)[:3])}. "
            "Choose another folder with --output."
        )


def _replace(folder: Path, target: Path, staging: Path) -> None:
    """Move ``folder`` to ``target``; the previous bundle moves to ``staging`` and, on failure, back.

    If moving it back fails too, ``staging`` is kept, as it then holds the only copy of the previous bundle.
    """
    backup = staging / _PREVIOUS
    try:
        if target.exists():
            target.rename(backup)
        folder.rename(target)
    except OSError as error:
        hint = f" The previous bundle is kept in {backup}: move it back."
        if _restore(backup, target):
            hint = ""
            shutil.rmtree(staging, ignore_errors=True)
        raise FerError(f"{target}: cannot be written ({error.strerror}). Try again.{hint}") from error


def _restore(backup: Path, target: Path) -> bool:
    """Move the previous bundle back; return whether ``target`` exists again or there was none before.

    ``target`` may also exist because another process has written it in the meantime.
    """
    if backup.exists() and not target.exists():
        with suppress(OSError):
            backup.rename(target)
    return target.exists() or not backup.exists()
