"""Pictures as they come in: every usual format, upright, RGB, eight bits; or one clear message.

All files go through Pillow, which tells the size before it decodes and answers damage with exceptions.
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
from fer.jpeg import SCAN, count_scans
from fer.pixels import EXPECTED, check_size, from_array, over_white, sixteen_bits, too_large, turned
from fer.places import at_home, names_in

# Formats that Pillow may try. Each further one is code that strangers' bytes run through.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
    ".pbm", ".pnm",
})  # fmt: skip
_NOTES = frozenset(
    {"", ".csv", ".html", ".ini", ".json", ".jsonl", ".md", ".txt", ".xml", ".xmp", ".yaml", ".yml"}
)
# What comes under a picture's name instead, by a pattern of its first bytes.
_FOREIGN = {
    rb"\s*(<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*)*+(<!DOCTYPE svg|<svg)": "an SVG drawing. Save it as PNG.",
    rb"\s*<(!doctype html|html|head|script|\?xml)": "a web page. The download went wrong; download it again.",
    rb"%PDF": "a PDF. Save the page as PNG or JPEG.",
    rb"PK\x03\x04": "a ZIP archive or an office document. Unpack it first.",
    rb"....ftyp(hei|hev|mif|msf)": "an HEIC picture. Save it as JPEG.",
    rb"....ftypavi[fs]": "an AVIF picture. Save it as PNG or JPEG.",
    rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI": "a video. Give it to fer-predict as one, with its own suffix.",
    rb"8BPS": "a Photoshop document. Save it as PNG or JPEG.",
    rb"\x89HDF|\x93NUMPY": "an array of numbers. Load it and hand over the array.",
}
_ORIENTATION = 0x0112  # EXIF tag
_LARGE = 12_000_000  # pixels; larger ones are decoded one at a time, however many threads there are
_MOST_SCANS = 200  # of a JPEG; cameras and programs write some ten
_WIDE = ("PNG", "PPM")  # Pillow gives these in 16 bits
_one_at_a_time = Lock()
_one_opens = Lock()  # filters of warnings belong to the process: two threads would restore each other's

Source = str | os.PathLike[str] | bytes | np.ndarray | Image.Image


def open_picture(source: Source) -> np.ndarray:
    """Bring a picture into the one form that detectors and models take.

    Files and bytes: PNG, JPEG, WebP, BMP, TIFF, GIF or PPM. The turn that a camera notes down (EXIF) is
    carried out. What is transparent becomes white, as on a page: what lies hidden beneath is chance. Gray is
    repeated, palette and CMYK are converted, of 16 bits the upper 8 are kept, of an animation or a file with
    several pages the first picture. Colour profiles are not applied.

    Arrays: uint8 or uint16 ``(H, W)`` or ``(H, W, C)`` with C 1 (gray), 3 (RGB) or 4 (RGB and opacity).
    Colours are in the order of Pillow and Matplotlib: red first. A picture from ``cv2.imread`` has blue
    first and must be turned: ``picture[..., ::-1]``. Floats are refused, for 0 to 1 and 0 to 255 cannot be
    told apart in a dark picture.

    Args:
        source: Path, content of a file, array, or Pillow image (its present frame).

    Returns:
        uint8 ``(H, W, 3)``, RGB, upright, contiguous. An array that is so already is returned as it is.

    Raises:
        FerError: No such file, no picture, a damaged one, one beyond 50 megapixels (told before it is
            decoded), a web address, or an array of another kind.
    """
    if isinstance(source, np.ndarray):
        return from_array(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, "this picture")
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source))
    if isinstance(source, str | os.PathLike):
        return _from_path(source)
    raise FerError(
        f"Expected a picture as a path, bytes, NumPy array or Pillow image, got {type(source).__name__}."
    )


def picture_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files in a folder and below it that are named like pictures, sorted by path.

    Hidden files and folders are passed over, and folders that are links.

    Raises:
        FerError: No such folder, or no pictures in it.
    """
    root = at_home(folder)
    if not root.is_dir():
        raise FerError(f"{root}: expected a folder of pictures, but there is no such folder.")
    found: list[Path] = []
    for place, folders, names in os.walk(root, onerror=_unreadable_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if _is_named_like_a_picture(name)]
    if not found:
        raise FerError(f"{root}: expected pictures ({' '.join(sorted(SUFFIXES))}), but there are none in it.")
    return sorted(found)


def other_files(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Return how many files of other kinds `picture_files` passes over, by suffix, the most first.

    Hidden ones do not count, nor do notes of programs (``.json``, ``.txt``, …), which nobody misses.
    """
    counts: Counter[str] = Counter()
    for _, folders, names in os.walk(at_home(folder)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        counts.update(Path(name).suffix.lower() for name in names if not name.startswith("."))
    return {suffix: number for suffix, number in counts.most_common() if suffix not in SUFFIXES | _NOTES}


def _unreadable_folder(error: OSError) -> None:
    raise FerError(
        f"{error.filename}: this folder cannot be read ({error.strerror}). Make it readable, or name the "
        "folders beside it."
    ) from error


def _is_named_like_a_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _from_path(source: str | os.PathLike[str]) -> np.ndarray:
    name = os.fspath(source)
    if isinstance(name, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://|data:", name):
        raise FerError(f"{name[:80]}: expected a file, got a web address. Download it and give its path.")
    path = at_home(name)
    _check_regular(path)
    try:
        with path.open("rb") as file:
            return _decode(file, str(path))
    except OSError as error:
        raise FerError(f"{path}: expected {EXPECTED}, but it cannot be read: {error.strerror}.") from None


def _check_regular(path: Path) -> None:
    """Raise FerError unless there is a file with something in it; a pipe would be waited for for ever."""
    try:
        status = path.stat()
    except FileNotFoundError:
        hint = did_you_mean(path.name, names_in(path.parent)) or " Correct the path."
        raise FerError(f"{path}: expected {EXPECTED}, but there is no such file.{hint}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
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
        with _one_opens, warnings.catch_warnings():  # `check_size` is stricter than Pillow's hint
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise too_large(where, str(error).split("(")[-1].split(" ")[0]) from None
    except UnidentifiedImageError:
        raise FerError(f"{where}: expected {EXPECTED}, got {_kind(start)}") from None
    except Exception as error:  # Pillow's readers answer damage with nearly any exception
        raise _damaged(where, error) from None
    with closing(image):
        if image.format in ("JPEG", "MPO"):
            _check_scans(file, where)
        return _from_pillow(image, where)


def _check_scans(file: BinaryIO, where: str) -> None:
    """Refuse a JPEG that is made to keep a decoder busy."""
    file.seek(0)
    content = file.read()
    # nearly all are told by what might be scans alone, which takes a hundredth of the time
    may_be_many = content.count(SCAN) > _MOST_SCANS
    if may_be_many and (scans := count_scans(content)) > _MOST_SCANS:
        raise FerError(
            f"{where}: expected {EXPECTED}, got a JPEG of {scans:,} scans, which takes for ever to decode. "
            "Save it anew."
        )


def _kind(start: bytes) -> str:
    for pattern, kind in _FOREIGN.items():
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return kind
    return "something else, or a damaged one. Open it in an image viewer and save it as PNG or JPEG."


def _from_pillow(image: Image.Image, where: str) -> np.ndarray:
    check_size((image.height, image.width), where)
    try:
        with _one_at_a_time if image.height * image.width > _LARGE else nullcontext():
            image.load()
            turn = _orientation(image)  # only now: some formats carry it out while they load
            return np.ascontiguousarray(turned(_to_array(image), turn))
    except FerError:
        raise
    except Exception as error:
        raise _damaged(where, error) from None


def _damaged(where: str, error: Exception) -> FerError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return FerError(f"{where}: this picture is damaged or cut off ({reason}). Save or download it again.")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # notes of the camera may be damaged where the picture is not
        return 1


def _to_array(image: Image.Image) -> np.ndarray:
    """Return RGB, uint8 ``(H, W, 3)``."""
    if image.mode == "F":
        raise FerError(f"Expected {EXPECTED} of 8 or 16 bits, got one of floats. Save it with 8 bits.")
    if image.mode.startswith("I"):
        return from_array(sixteen_bits(np.asarray(image), of_eight=image.format not in _WIDE))
    if image.has_transparency_data:
        return over_white(np.asarray(image if image.mode == "RGBA" else image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
