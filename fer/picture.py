"""Read an image of any usual format as upright 8-bit RGB, or raise one clear error.

All files go through Pillow, which reports the size before it decodes and raises exceptions for damaged files.
"""

import os
import re
import warnings
from collections import Counter
from contextlib import closing, nullcontext
from io import BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.errors import FerError, did_you_mean
from fer.jpeg import SCAN_MARKER, count_scans
from fer.pixels import (
    EXPECTED,
    apply_orientation,
    check_size,
    composite_on_white,
    image_from_array,
    narrow_integers,
    too_large_error,
)
from fer.places import expand_user, list_names

# Formats that Pillow may try. Each one more is code that untrusted bytes run through.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
    ".pbm", ".pnm",
})  # fmt: skip
# Files that programs write beside images. They are not counted as skipped.
_SIDECAR_SUFFIXES = frozenset(
    {"", ".csv", ".html", ".ini", ".json", ".jsonl", ".md", ".txt", ".xml", ".xmp", ".yaml", ".yml"}
)
# Other kinds of files that are given as images, by a pattern of their first bytes.
_UNSUPPORTED_KINDS = {
    rb"\s*(<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*)*+(<!DOCTYPE svg|<svg)": "an SVG drawing. Save it as PNG.",
    rb"\s*<(!doctype html|html|head|script|\?xml)": "a web page. The download failed; download it again.",
    rb"%PDF": "a PDF. Save the page as PNG or JPEG.",
    rb"PK\x03\x04": "a ZIP archive or an office document. Unpack it first.",
    rb"....ftyp(hei|hev|mif|msf)": "a HEIC image. Save it as JPEG.",
    rb"....ftypavi[fs]": "an AVIF image. Save it as PNG or JPEG.",
    rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI": "a video. Give it to fer-predict with a video's suffix.",
    rb"8BPS": "a Photoshop document. Save it as PNG or JPEG.",
    rb"\x89HDF|\x93NUMPY": "an array file. Load it and pass the array.",
}
_EXIF_ORIENTATION = 0x0112
# Images with more pixels are decoded one at a time, whatever the number of threads, to limit memory.
_LARGE_IMAGE = 12_000_000
# Of a JPEG file. Cameras and programs write about ten.
_MAX_SCANS = 200
# Formats that Pillow decodes to 16 bits; other 32-bit images may hold 8-bit values.
_FORMATS_WITH_16_BITS = ("PNG", "PPM")
_decode_lock = Lock()
# Warning filters belong to the process: two threads would restore each other's.
_open_lock = Lock()

ImageSource = str | os.PathLike[str] | bytes | np.ndarray | Image.Image


def read_image(source: ImageSource) -> np.ndarray:
    """Return an image as upright 8-bit RGB, the form that detectors and models take.

    Files and bytes: PNG, JPEG, WebP, BMP, TIFF, GIF or PPM. The EXIF orientation is applied. Transparent
    pixels become white, because the color stored beneath is arbitrary. Gray is repeated to three channels,
    palette and CMYK are converted, the upper 8 of 16 bits are kept, and of an animation or a file with
    several pages the first image is taken. Color profiles are not applied.

    Arrays: uint8 or uint16 ``(H, W)`` or ``(H, W, C)`` with C 1 (gray), 3 (RGB) or 4 (RGBA). Channels are in
    the order of Pillow and Matplotlib: red first. An image from ``cv2.imread`` has blue first and must be
    reversed: ``image[..., ::-1]``. Floats are refused, because in a dark image the ranges 0 to 1 and 0 to 255
    cannot be distinguished.

    Args:
        source: Path, content of a file, array, or Pillow image (its current frame).

    Returns:
        uint8 ``(H, W, 3)``, RGB, upright, contiguous. An array that already is all this is returned as it is.

    Raises:
        FerError: No such file, not an image, a damaged image, more than 50 megapixels (checked before
            decoding), a web address, or an unsupported array.
    """
    if isinstance(source, np.ndarray):
        return image_from_array(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, "this image")
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source))
    if isinstance(source, str | os.PathLike):
        return _from_path(source)
    raise FerError(
        f"Expected an image as a path, bytes, NumPy array or Pillow image, got {type(source).__name__}."
    )


def list_image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files with an image suffix in a folder and its subfolders, sorted by path.

    Hidden files, hidden folders and linked folders are skipped.

    Raises:
        FerError: No such folder, a folder that cannot be read, or no images.
    """
    root = expand_user(folder)
    if not root.is_dir():
        raise FerError(f"{root}: expected a folder of images, but there is no such folder.")
    files: list[Path] = []
    for parent, folders, names in os.walk(root, onerror=_unreadable_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if _has_image_suffix(name)]
    if not files:
        raise FerError(f"{root}: expected images ({' '.join(sorted(SUFFIXES))}), but there are none in it.")
    return sorted(files)


def count_other_files(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Return how many files `list_image_files` skips because of their suffix, by suffix, most frequent first.

    Hidden files and sidecar files (``.json``, ``.txt``, …) are not counted.
    """
    counts: Counter[str] = Counter()
    for _, folders, names in os.walk(expand_user(folder)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        counts.update(Path(name).suffix.lower() for name in names if not name.startswith("."))
    ignored = SUFFIXES | _SIDECAR_SUFFIXES
    return {suffix: number for suffix, number in counts.most_common() if suffix not in ignored}


def _unreadable_folder(error: OSError) -> None:
    raise FerError(
        f"{error.filename}: this folder cannot be read ({error.strerror}). Make it readable, or give the "
        "other folders one by one."
    ) from error


def _has_image_suffix(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _from_path(source: str | os.PathLike[str]) -> np.ndarray:
    name = os.fspath(source)
    if isinstance(name, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://|data:", name):
        raise FerError(f"{name[:80]}: expected a file, got a web address. Download it and give its path.")
    path = expand_user(name)
    _check_regular(path)
    try:
        with path.open("rb") as file:
            return _decode(file, str(path))
    except OSError as error:
        raise FerError(f"{path}: expected {EXPECTED}, but it cannot be read: {error.strerror}.") from None


def _check_regular(path: Path) -> None:
    """Raise FerError unless the path is a regular file; opening a pipe would block forever."""
    try:
        status = path.stat()
    except FileNotFoundError:
        hint = did_you_mean(path.name, list_names(path.parent)) or " Correct the path."
        raise FerError(f"{path}: expected {EXPECTED}, but there is no such file.{hint}") from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{str(path)[:200]!r}: expected {EXPECTED}, but: {reason}.") from None
    if not S_ISREG(status.st_mode):
        kind = "a folder" if S_ISDIR(status.st_mode) else "a device or pipe"
        raise FerError(f"{path}: expected {EXPECTED}, got {kind}.")


def _from_bytes(content: bytes) -> np.ndarray:
    return _decode(BytesIO(content), f"these {len(content):,} bytes")


def _decode(file: BinaryIO, where: str) -> np.ndarray:
    start = file.read(1024)
    if not start:
        raise FerError(f"{where}: expected {EXPECTED}, got an empty file. Save or download it again.")
    file.seek(0)
    try:
        # `check_size` is stricter than Pillow's warning about large images.
        with _open_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise too_large_error(where, str(error).split("(")[-1].split(" ")[0]) from None
    except UnidentifiedImageError:
        raise FerError(f"{where}: expected {EXPECTED}, got {_describe_kind(start)}") from None
    except Exception as error:
        # Pillow's readers raise nearly any exception for a damaged file.
        raise _damaged_error(where, error) from None
    with closing(image):
        if image.format in ("JPEG", "MPO"):
            _check_scans(file, where)
        return _from_pillow(image, where)


def _check_scans(file: BinaryIO, where: str) -> None:
    """Raise FerError for a JPEG made to keep the decoder busy."""
    file.seek(0)
    content = file.read()
    # Counting the marker's bytes is an upper bound that takes a hundredth of the time and settles most files.
    may_be_many = content.count(SCAN_MARKER) > _MAX_SCANS
    if may_be_many and (scans := count_scans(content)) > _MAX_SCANS:
        raise FerError(
            f"{where}: expected {EXPECTED}, got a JPEG of {scans:,} scans, which takes too long to decode. "
            "Save it again in an image editor."
        )


def _describe_kind(start: bytes) -> str:
    for pattern, kind in _UNSUPPORTED_KINDS.items():
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return kind
    return "an unknown kind of file, or a damaged one. Open it in an image viewer and save it as PNG or JPEG."


def _from_pillow(image: Image.Image, where: str) -> np.ndarray:
    check_size((image.height, image.width), where)
    try:
        with _decode_lock if image.height * image.width > _LARGE_IMAGE else nullcontext():
            image.load()
            # Read after loading: some formats apply the orientation while they load.
            orientation = _orientation(image)
            return np.ascontiguousarray(apply_orientation(_to_array(image), orientation))
    except FerError:
        raise
    except Exception as error:
        raise _damaged_error(where, error) from None


def _damaged_error(where: str, error: Exception) -> FerError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return FerError(f"{where}: the image is damaged or cut off ({reason}). Save or download it again.")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        # The EXIF block may be damaged where the image is not.
        return 1


def _to_array(image: Image.Image) -> np.ndarray:
    """Return RGB, uint8 ``(H, W, 3)``."""
    if image.mode == "F":
        raise FerError(
            f"Expected {EXPECTED} of 8 or 16 bits, got one with float values. Save it with 8 bits."
        )
    if image.mode.startswith("I"):
        allow_8_bits = image.format not in _FORMATS_WITH_16_BITS
        return image_from_array(narrow_integers(np.asarray(image), allow_8_bits))
    if image.has_transparency_data:
        return composite_on_white(np.asarray(image if image.mode == "RGBA" else image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
