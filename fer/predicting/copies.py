"""Annotated copies of pictures: where they go, and how they are written."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from fer.annotate import draw
from fer.errors import FerError
from fer.picture import SUFFIXES, open_picture
from fer.predict import Answer

_WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
Sink = Callable[[Path, Answer], None]  # takes the answer on a picture


def to_copies(files: Mapping[Path, Path], place: Path, bars: bool) -> Sink:
    """Return what writes an annotated copy of each picture that could be read.

    Args:
        files: See `copy_targets`.
        place: Likewise.
        bars: Draw the probability of every emotion.
    """
    targets = copy_targets(files, place)

    def write(picture: Path, answer: Answer) -> None:
        if answer.error is None:
            write_picture(targets[picture], draw(open_picture(picture), answer.predictions, bars=bars))

    return write


def copy_targets(files: Mapping[Path, Path], place: Path) -> dict[Path, Path]:
    """Return where each picture's annotated copy goes, each to a file of its own.

    Args:
        files: Pictures, each with its place within the folder.
        place: The folder; for a single picture also a file with a picture's suffix.

    Raises:
        FerError: A copy would replace one of the pictures, or has a suffix that cannot be written.
    """
    named = len(files) == 1 and place.suffix.lower() in SUFFIXES and not place.is_dir()
    if named and place.suffix.lower() not in _WRITABLE:
        raise FerError(f"{place}: expected a name with one of {' '.join(_WRITABLE)}, got {place.suffix}.")
    if named:
        targets = dict.fromkeys(files, place)
    else:
        targets, taken = {}, set[Path]()
        for picture, within in files.items():
            targets[picture] = _unused(place / within, taken)
    spare(files, targets.values(), "an annotated copy")
    return targets


def spare(pictures: Iterable[Path], targets: Iterable[Path], what: str) -> None:
    """Make sure that nothing is written over a picture that was given.

    Args:
        pictures: Those.
        targets: Files that will be written.
        what: What they are, for the message.

    Raises:
        FerError: One of them is one of the pictures.
    """
    given = {_identity(picture) for picture in pictures} - {None}
    for target in targets:
        if _identity(target) in given:
            raise FerError(f"{target}: {what} would replace this picture. Name another place.")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others, by whichever name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unused(target: Path, taken: set[Path]) -> Path:
    """Return a path that no other copy has, in a format that can be written; and note it as taken."""
    if target.suffix.lower() not in _WRITABLE:
        target = target.with_name(f"{target.name}.png")
    free, number = target, 2
    while free in taken:
        free, number = target.with_stem(f"{target.stem}_{number}"), number + 1
    taken.add(free)
    return free


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write an RGB picture, uint8 ``(H, W, 3)``, in the format of the suffix.

    Raises:
        FerError: It cannot be written there.
    """
    try:
        done, content = cv2.imencode(path.suffix.lower(), pixels[..., ::-1])
        if not done:
            raise FerError(f"{path}: cannot be written (too large for this format). Choose another place.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except (OSError, cv2.error) as error:
        reason = getattr(error, "strerror", None) or "too large for this format"
        raise FerError(f"{path}: cannot be written ({reason}). Choose another place.") from error
