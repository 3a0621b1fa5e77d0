"""Read an image of any usual format as upright 8-bit RGB, or raise one clear error.

All files go through Pillow, which reports the size before it decodes and raises exceptions for damaged files.
The limits on the size, and on the scans of a JPEG file, protect a server from files made to exhaust it.
"""

import os
import re
import warnings
from contextlib import closing, nullcontext
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from fer.core.errors import FerError, did_you_mean
from fer.core.paths import expand_user, list_names

ImageSource = str | os.PathLike[str] | bytes | np.ndarray | Image.Image
# HEIC, the format of many phones, needs the package pillow-heif (extra `heic`).
_HAS_HEIC = find_spec("pillow_heif") is not None
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
    ".pbm", ".pnm", ".avif", *((".heic", ".heif") if _HAS_HEIC else ()),
})  # fmt: skip
MAX_PIXELS = 50_000_000
# Formats that Pillow may try. Each one more is code that untrusted bytes run through.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF")
# Formats of which files can be animations. Pages of a TIFF file are not.
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
# Formats that Pillow decodes to 16 bits; other 32-bit images may hold 8-bit values.
_FORMATS_WITH_16_BITS = ("PNG", "PPM")
_EXPECTED = f"an image (PNG, JPEG, WebP, AVIF, {'HEIC, ' if _HAS_HEIC else ''}BMP, TIFF, GIF or PPM)"
_HEIC, _AVIF = rb"....ftyp(hei|hev|mif|msf)", rb"....ftypavi[fs]"
VIDEO_ADVICE = "Give it to fer-predict with a video's suffix."
# Files that users often pass as images: a pattern of the first bytes -> name of the format and advice.
_UNSUPPORTED_KINDS = {
    rb"\s*(<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*)*+(<!DOCTYPE svg|<svg)": "an SVG drawing. Save it as PNG.",
    rb"\s*<(!doctype html|html|head|script|\?xml)": "a web page. The download failed; download it again.",
    rb"%PDF": "a PDF. Save the page as PNG or JPEG.",
    rb"PK\x03\x04": "a ZIP archive or an office document. Unpack it first.",
    _HEIC: "a HEIC image. pip install 'fer-lightning[heic]' reads it; or save it as JPEG.",
    _AVIF: "an AVIF image, which this Pillow cannot read. Save it as PNG or JPEG.",
    rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI": f"a video. {VIDEO_ADVICE}",
    rb"8BPS": "a Photoshop document. Save it as PNG or JPEG.",
    rb"\x89HDF|\x93NUMPY": "an array file. Load it and pass the array.",
}
_EXIF_ORIENTATION = 0x0112
# Images with more pixels are decoded one at a time, whatever the number of threads, to limit memory.
_LARGE_IMAGE_PIXELS = 12_000_000
# Pixels that `composite_on_white` processes at a time.
_STRIP_PIXELS = 1 << 20
# Limit for a JPEG file. Cameras and programs write about ten.
_MAX_SCANS = 200
# Start-of-scan marker. The same bytes may also occur in comments and after the image.
_SCAN_MARKER = b"\xff\xda"
_START_OF_IMAGE, _END_OF_IMAGE = b"\xff\xd8", 0xD9
# Markers that no segment follows.
_STANDALONE_MARKERS = frozenset([0x01, *range(0xD0, 0xD9)])
# In coded data, FF 00 encodes the byte FF.
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_decode_lock = Lock()
# Warning filters belong to the process: two threads would restore each other's.
_open_lock = Lock()


def read_image(source: ImageSource) -> np.ndarray:
    """Return an image as upright 8-bit RGB, the form that detectors and models take.

    Files and bytes: PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or PPM, and HEIC with the extra ``heic``. The EXIF
    orientation is applied. Transparent pixels become white, because the color stored beneath is arbitrary.
    Gray is repeated to three channels, palette and CMYK are converted, the upper 8 of 16 bits are kept, and
    of an animation or a file with several pages the first image is taken. Color profiles are not applied.

    Arrays: uint8 or uint16 ``(H, W)`` or ``(H, W, C)`` with C 1 (gray), 3 (RGB) or 4 (RGBA). Channels are in
    the order of Pillow and Matplotlib: red first. An image from ``cv2.imread`` has blue first and must be
    reversed: ``image[..., ::-1]``. Floats are refused, because in a dark image the ranges 0 to 1 and 0 to 255
    cannot be distinguished.

    Args:
        source: Path, content of a file, array, or Pillow image (its current frame).

    Returns:
        uint8 ``(H, W, 3)``, RGB, upright, contiguous. An array that already has this form is not copied.

    Raises:
        FerError: No such file, not an image, a damaged image, more than 50 megapixels (checked before
            decoding), a web address, or an unsupported array.
    """
    if isinstance(source, np.ndarray):
        return image_from_array(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, "this image")
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
        return _decode(BytesIO(content), f"these {len(content):,} bytes")
    if isinstance(source, str | os.PathLike):
        return _from_path(source)
    raise FerError(
        f"Expected an image as a path, bytes, NumPy array or Pillow image, got {type(source).__name__}."
    )


def count_frames(path: str | os.PathLike[str] | BinaryIO) -> int:
    """Return the number of images of an animated file; 1 for any other file, also if it cannot be read."""
    try:
        with _open(path, _ANIMATED) as image:
            return getattr(image, "n_frames", 1)
    except Exception:
        # Reading the image reports what is wrong with it.
        return 1


def _open(file: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...]) -> Image.Image:
    """Open an image without Pillow's warning about large ones: `check_size` is stricter."""
    with _open_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


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
        raise FerError(f"{path}: expected {_EXPECTED}, but it cannot be read: {error.strerror}.") from None


def _check_regular(path: Path) -> None:
    """Raise FerError unless the path is a regular file; opening a pipe would block forever."""
    try:
        status = path.stat()
    except FileNotFoundError:
        hint = did_you_mean(path.name, list_names(path.parent)) or " Correct the path."
        raise FerError(f"{path}: expected {_EXPECTED}, but there is no such file.{hint}") from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{str(path)[:200]!r}: expected {_EXPECTED}, but: {reason}.") from None
    if not S_ISREG(status.st_mode):
        kind = "a folder" if S_ISDIR(status.st_mode) else "a device or pipe"
        raise FerError(f"{path}: expected {_EXPECTED}, got {kind}.")


def _decode(file: BinaryIO, where: str) -> np.ndarray:
    start = file.read(1024)
    if not start:
        raise FerError(f"{where}: expected {_EXPECTED}, got an empty file. Save or download it again.")
    file.seek(0)
    try:
        image = _open(file, _formats(start))
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise too_large_error(where, f"{int(pixels[0]):,}" if pixels else "more") from None
    except UnidentifiedImageError:
        raise FerError(f"{where}: expected {_EXPECTED}, got {_describe_kind(start)}") from None
    except Exception as error:
        # Pillow's readers raise nearly any exception for a damaged file.
        raise _damaged_error(where, error) from None
    with closing(image):
        if image.format in ("JPEG", "MPO"):
            _check_scans(file, where)
        return _from_pillow(image, where)


def _formats(start: bytes) -> tuple[str, ...]:
    """Return the formats that Pillow may try for a file that begins with these bytes."""
    if not (_HAS_HEIC and re.match(_HEIC, start, re.DOTALL)):
        return _FORMATS
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return ("HEIF",)


def _describe_kind(start: bytes) -> str:
    for pattern, name, is_supported in ((_HEIC, "HEIC", _HAS_HEIC), (_AVIF, "AVIF", features.check("avif"))):
        if is_supported and re.match(pattern, start, re.DOTALL):
            return f"a damaged {name} image. Save or download it again."
    for pattern, kind in _UNSUPPORTED_KINDS.items():
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return kind
    return "an unknown kind of file, or a damaged one. Open it in an image viewer and save it as PNG or JPEG."


def _check_scans(file: BinaryIO, where: str) -> None:
    """Raise FerError for a JPEG made to keep the decoder busy."""
    file.seek(0)
    content = file.read()
    # Counting the marker's bytes is an upper bound that takes a hundredth of the time and settles most files.
    may_be_many = content.count(_SCAN_MARKER) > _MAX_SCANS
    if may_be_many and (scans := count_scans(content)) > _MAX_SCANS:
        raise FerError(
            f"{where}: expected {_EXPECTED}, got a JPEG of {scans:,} scans, which takes too long to decode. "
            "Save it again in an image editor."
        )


def count_scans(content: bytes) -> int:
    """Return the number of scans of the first image in a JPEG file; 0 if it is not a JPEG file.

    Bytes between segments are skipped, as decoders do. A baseline image has one scan, a progressive one about
    ten. One more costs 14 bytes and milliseconds of decoding time (ITU-T T.81, sections B.1.1, G.1).
    """
    position, scans = 2, 0
    if not content.startswith(_START_OF_IMAGE):
        return 0
    while (match := _NEXT_MARKER.search(content, position)) is not None and match[1][0] != _END_OF_IMAGE:
        marker, position = match[1][0], match.end()
        if marker in _STANDALONE_MARKERS:
            continue
        scans += marker == _SCAN_MARKER[1]
        position += int.from_bytes(content[position : position + 2], "big")
    return scans


def _from_pillow(image: Image.Image, where: str) -> np.ndarray:
    check_size((image.height, image.width), where)
    try:
        with _decode_lock if image.height * image.width > _LARGE_IMAGE_PIXELS else nullcontext():
            image.load()
            # Read after loading: some formats apply the orientation while they load.
            orientation = _orientation(image)
            return np.ascontiguousarray(apply_orientation(_to_array(image), orientation))
    except FerError as error:
        # What is wrong with the pixels is found without knowing where they come from.
        text = str(error)
        raise error if where in text else FerError(f"{where}: {text[0].lower()}{text[1:]}") from None
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
            f"Expected {_EXPECTED} of 8 or 16 bits, got one with float values. Save it with 8 bits."
        )
    if image.mode.startswith("I"):
        allow_8_bits = image.format not in _FORMATS_WITH_16_BITS
        return image_from_array(narrow_integers(np.asarray(image), allow_8_bits))
    if image.has_transparency_data:
        return composite_on_white(np.asarray(image if image.mode == "RGBA" else image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def image_from_array(array: np.ndarray) -> np.ndarray:
    """Return an array as RGB, uint8 ``(H, W, 3)``; `read_image` lists what is accepted.

    Raises:
        FerError: An unsupported dtype or shape, an empty array, or more than 50 megapixels.
    """
    where = f"an array of {array.dtype} and shape {array.shape}"
    if array.dtype not in (np.uint8, np.uint16):
        advice = "Scale floats to 0 to 255 and convert: array.astype(np.uint8)."
        raise FerError(f"Expected an image of uint8 (0 to 255) or uint16, got {where}. {advice}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise FerError(f"Expected one image (height, width) or (height, width, 1, 3 or 4), got {where}.")
    check_size(array.shape[:2], where)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 4:
        return composite_on_white(array)
    if array.ndim == 2 or array.shape[2] == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array)


def composite_on_white(image: np.ndarray) -> np.ndarray:
    """Composite RGBA, uint8 ``(H, W, 4)``, on a white background, and return ``(H, W, 3)``."""
    flat = image.reshape(-1, 4)
    result = np.empty((len(flat), 3), np.uint8)
    # In strips: 50 megapixels at once would need a gigabyte.
    for start in range(0, len(flat), _STRIP_PIXELS):
        strip = flat[start : start + _STRIP_PIXELS].astype(np.uint16)
        color, alpha = strip[:, :3], strip[:, 3:]
        result[start : start + _STRIP_PIXELS] = (color * alpha + 255 * (255 - alpha) + 127) // 255
    return result.reshape(*image.shape[:2], 3)


def apply_orientation(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image turned and mirrored by its EXIF orientation, 1 to 8; other values change nothing."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def narrow_integers(gray: np.ndarray, allow_8_bits: bool = False) -> np.ndarray:
    """Return gray values of any integer type as uint16, or as uint8.

    Args:
        gray: Values from 0.
        allow_8_bits: Take int32 values that are all 255 or less for 8-bit values. The file does not say how
            wide they were.

    Raises:
        FerError: A value is below 0 or above 65535.
    """
    if gray.min() < 0 or gray.max() > 65535:
        raise FerError(f"Expected {_EXPECTED} of 8 or 16 bits, got one of 32 bits. Save it with 8 bits.")
    is_8_bits = allow_8_bits and gray.dtype == np.int32 and gray.max() <= 255
    return gray.astype(np.uint8 if is_8_bits else np.uint16)


def check_size(shape: tuple[int, ...], where: str) -> None:
    """Raise FerError for an image of ``(H, W)`` without pixels, or with too many."""
    height, width = shape
    if height * width > MAX_PIXELS:
        raise too_large_error(where, f"{width:,} x {height:,}")
    if not height * width:
        raise FerError(f"{where}: expected {_EXPECTED}, got one of {width} x {height} pixels.")


def too_large_error(where: str, size: str) -> FerError:
    """Return the error for an image with too many pixels."""
    limit = MAX_PIXELS // 1_000_000
    return FerError(f"{where}: expected at most {limit} megapixels, got {size} pixels. Reduce the image.")
