"""A bundle: `model.onnx`, `card.json` and `README.md` in a folder. What leaves the lab."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fer.bundle.card import Card, read_card, to_json
from fer.bundle.readme import readme
from fer.errors import FerError

MODEL, CARD, README = "model.onnx", "card.json", "README.md"
FILES = {MODEL, CARD, README}
_EARLIER = "earlier"  # a bundle that is about to be replaced, beside its draft


@dataclass(frozen=True)
class Bundle:
    """A model that can be run.

    Attributes:
        folder: Where its files lie.
        card: What they are.
    """

    folder: Path
    card: Card

    @property
    def model_path(self) -> Path:
        """Return the path of the ONNX file."""
        return self.folder / MODEL


def read_bundle(folder: str | Path) -> Bundle:
    """Open a bundle and make sure that its model is the one that the card was written for.

    Raises:
        FerError: A file is missing, the card does not fit, or the model's SHA-256 is another.
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        raise FerError(f"{folder}: expected a bundle with {MODEL} and {CARD}. fer-export RUN writes one.")
    bundle = Bundle(folder, read_card(folder / CARD))
    if not bundle.model_path.is_file():
        raise FerError(f"{bundle.model_path}: the card is there, but its model is missing. Export it again.")
    found = sha256(bundle.model_path)
    if found != bundle.card.model["sha256"]:
        raise FerError(
            f"{bundle.model_path}: expected SHA-256 {bundle.card.model['sha256'][:12]}… as on the card, "
            f"got {found[:12]}…. The file was changed or cut off; export or download it again."
        )
    return bundle


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json` and the `README.md` that says the same in words."""
    (folder / CARD).write_text(to_json(card), encoding="utf-8")
    (folder / README).write_text(readme(card), encoding="utf-8")


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target`` that takes its place when the block ends without an error.

    So a reader never sees half of a bundle, and an earlier bundle stays until the new one is whole.

    Args:
        target: Folder of the bundle; made anew, or in the place of an earlier bundle.

    Raises:
        FerError: ``target`` holds something else than a bundle, or cannot be written.
    """
    target = target.resolve()
    check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise FerError(f"{target}: cannot be written ({error.strerror}). Choose another place.") from error
    try:
        folder = place / target.name
        folder.mkdir()
        yield folder
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    _put(folder, target, place)
    shutil.rmtree(place, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Make sure that nothing but an earlier bundle would give way to a new one.

    Raises:
        FerError: It is a file, or a folder with other things in it.
    """
    if not target.exists():
        return
    if target == Path.cwd():
        raise FerError(f"{target}: expected another folder than the one you are in. Name one inside it.")
    others = {path.name for path in target.iterdir()} - FILES if target.is_dir() else {target.name}
    if others:
        raise FerError(
            f"{target}: expected a new folder or an earlier bundle, found {', '.join(sorted(others)[:3])}. "
            "Choose another folder with --output."
        )


def _put(folder: Path, target: Path, place: Path) -> None:
    """Move a whole folder to its place; what was there goes aside first, and back if that fails.

    If that fails too, ``place`` stays, as the earlier bundle is nowhere but in it.
    """
    aside = place / _EARLIER
    try:
        if target.exists():
            target.rename(aside)
        folder.rename(target)
    except OSError as error:
        kept = f" The earlier bundle is kept in {aside}: move it back."
        if _put_back(aside, target):
            kept = ""
            shutil.rmtree(place, ignore_errors=True)
        raise FerError(f"{target}: cannot be written ({error.strerror}). Try again.{kept}") from error


def _put_back(aside: Path, target: Path) -> bool:
    """Move an earlier bundle back, if it went aside; return whether one stands there, or none had stood.

    What stands there may be another writer's, who was faster.
    """
    if aside.exists() and not target.exists():
        with suppress(OSError):
            aside.rename(target)
    return target.exists() or not aside.exists()
