"""Pixels in any of their usual forms, made into the one form: RGB, eight bits, upright."""

import numpy as np

from fer.errors import FerError

EXPECTED = "a picture (PNG, JPEG, WebP, BMP, TIFF, GIF or PPM)"
MAX_PIXELS = 50_000_000
_STRIP = 1 << 20  # pixels laid over white at a time


def from_array(array: np.ndarray) -> np.ndarray:
    """Return RGB, uint8 ``(H, W, 3)``, of an array; `fer.picture.open_picture` says which are taken.

    Raises:
        FerError: Another kind of array, an empty one, or one beyond 50 megapixels.
    """
    where = f"an array of {array.dtype} and shape {array.shape}"
    if array.dtype not in (np.uint8, np.uint16):
        advice = "Bring floats to 0 to 255 and convert: array.astype(np.uint8)."
        raise FerError(f"Expected a picture with values 0 to 255 as uint8, or uint16, got {where}. {advice}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise FerError(f"Expected one picture (height, width) or (height, width, 1, 3 or 4), got {where}.")
    check_size(array.shape[:2], where)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 4:
        return over_white(array)
    if array.ndim == 2 or array.shape[2] == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array)


def over_white(picture: np.ndarray) -> np.ndarray:
    """Lay RGB with opacity, uint8 ``(H, W, 4)``, on a white page, and return ``(H, W, 3)``."""
    flat = picture.reshape(-1, 4)
    result = np.empty((len(flat), 3), np.uint8)
    for start in range(0, len(flat), _STRIP):  # 50 megapixels at once would take a gigabyte
        part = flat[start : start + _STRIP].astype(np.uint16)
        colour, opacity = part[:, :3], part[:, 3:]
        result[start : start + _STRIP] = (colour * opacity + 255 * (255 - opacity) + 127) // 255
    return result.reshape(*picture.shape[:2], 3)


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Return the picture as the camera saw it, by the orientations 1 to 8 of EXIF; others are none."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return picture


def sixteen_bits(gray: np.ndarray, of_eight: bool = False) -> np.ndarray:
    """Return integers of any width as uint16, or as uint8.

    Args:
        gray: Values from 0.
        of_eight: Of 32 bits, values up to 255 alone are those of 8 bits: nothing says how wide they were.

    Raises:
        FerError: They do not fit.
    """
    if gray.min() < 0 or gray.max() > 65535:
        raise FerError(f"Expected {EXPECTED} of 8 or 16 bits, got one of 32. Save it with 8 bits.")
    return gray.astype(np.uint8 if of_eight and gray.dtype == np.int32 and gray.max() <= 255 else np.uint16)


def check_size(shape: tuple[int, ...], where: str) -> None:
    """Raise FerError for a picture of ``(H, W)`` without pixels, or with too many."""
    height, width = shape
    if height * width > MAX_PIXELS:
        raise too_large(where, f"{width:,} x {height:,}")
    if not height * width:
        raise FerError(f"{where}: expected {EXPECTED}, got one of {width} x {height} pixels.")


def too_large(where: str, size: str) -> FerError:
    """Return the error for a picture of too many pixels."""
    limit = MAX_PIXELS // 1_000_000
    return FerError(f"{where}: expected at most {limit} megapixels, got {size} pixels. Make it smaller.")
