"""Annotated copies of images: their paths, and writing them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from fer.annotate import draw
from fer.errors import FerError
from fer.picture import SUFFIXES, read_image
from fer.predict import ImageResult

_WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# Receives the path of each image and its result.
Sink = Callable[[Path, ImageResult], None]


def copy_writer(files: Mapping[Path, Path], folder: Path, bars: bool) -> Sink:
    """Return a sink that writes an annotated copy of each readable image.

    Args:
        files: Images, as for `copy_paths`.
        folder: Output folder or file, as for `copy_paths`.
        bars: Draw the probability of every emotion.
    """
    targets = copy_paths(files, folder)

    def write(image: Path, result: ImageResult) -> None:
        if result.error is None:
            write_image(targets[image], draw(read_image(image), result.predictions, bars=bars))

    return write


def copy_paths(files: Mapping[Path, Path], folder: Path) -> dict[Path, Path]:
    """Return the path of each image's annotated copy; all are different.

    Args:
        files: Path of each image -> its path relative to the output folder.
        folder: Output folder. For a single image it may be a file with an image suffix.

    Raises:
        FerError: A copy would overwrite an input image, or its format cannot be written.
    """
    is_file = len(files) == 1 and folder.suffix.lower() in SUFFIXES and not folder.is_dir()
    if is_file and folder.suffix.lower() not in _WRITABLE:
        raise FerError(
            f"{folder}: expected a file name ending in {', '.join(_WRITABLE)}, got {folder.suffix}. "
            "Choose another format."
        )
    if is_file:
        targets = dict.fromkeys(files, folder)
    else:
        targets, used = {}, set[Path]()
        for image, relative in files.items():
            targets[image] = _unique(folder / relative, used)
    check_not_overwriting(files, targets.values(), "an annotated copy")
    return targets


def check_not_overwriting(images: Iterable[Path], targets: Iterable[Path], content: str) -> None:
    """Check that no output file is one of the input images.

    Args:
        images: The input images.
        targets: Files that will be written.
        content: What will be written, for the message.

    Raises:
        FerError: An output file is one of the input images.
    """
    inputs = {_identity(image) for image in images} - {None}
    for target in targets:
        if _identity(target) in inputs:
            raise FerError(f"{target}: {content} would overwrite this input image. Choose another path.")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, the same for all its names; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unique(target: Path, used: set[Path]) -> Path:
    """Return an unused path in a writable format, and add it to ``used``."""
    if target.suffix.lower() not in _WRITABLE:
        target = target.with_name(f"{target.name}.png")
    path, number = target, 2
    while path in used:
        path, number = target.with_stem(f"{target.stem}_{number}"), number + 1
    used.add(path)
    return path


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write an RGB image, uint8 ``(H, W, 3)``, in the format of the suffix.

    Raises:
        FerError: It cannot be written.
    """
    try:
        done, content = cv2.imencode(path.suffix.lower(), pixels[..., ::-1])
        if not done:
            raise FerError(f"{path}: cannot be written (too large for this format). Choose another format.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except (OSError, cv2.error) as error:
        reason = getattr(error, "strerror", None) or "too large for this format"
        raise FerError(f"{path}: cannot be written ({reason}). Choose another path or format.") from error
