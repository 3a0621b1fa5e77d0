"""Convert pixel arrays of any usual kind to RGB, 8 bits, upright."""

import numpy as np

from fer.errors import FerError

EXPECTED = "an image (PNG, JPEG, WebP, BMP, TIFF, GIF or PPM)"
MAX_PIXELS = 50_000_000
# Pixels composited on white at a time.
_STRIP = 1 << 20


def image_from_array(array: np.ndarray) -> np.ndarray:
    """Return an array as RGB, uint8 ``(H, W, 3)``; `fer.picture.read_image` lists what is accepted.

    Raises:
        FerError: An unsupported dtype or shape, an empty array, or more than 50 megapixels.
    """
    where = f"an array of {array.dtype} and shape {array.shape}"
    if array.dtype not in (np.uint8, np.uint16):
        advice = "Scale floats to 0 to 255 and convert: array.astype(np.uint8)."
        raise FerError(
            f"Expected an image of uint8 (0 to 255) or uint16, got {where}. {advice}"
        )
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
    for start in range(0, len(flat), _STRIP):
        strip = flat[start : start + _STRIP].astype(np.uint16)
        color, alpha = strip[:, :3], strip[:, 3:]
        result[start : start + _STRIP] = (color * alpha + 255 * (255 - alpha) + 127) // 255
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
        raise FerError(f"Expected {EXPECTED} of 8 or 16 bits, got one of 32 bits. Save it with 8 bits.")
    is_8_bits = allow_8_bits and gray.dtype == np.int32 and gray.max() <= 255
    return gray.astype(np.uint8 if is_8_bits else np.uint16)


def check_size(shape: tuple[int, ...], where: str) -> None:
    """Raise FerError for an image of ``(H, W)`` without pixels, or with too many."""
    height, width = shape
    if height * width > MAX_PIXELS:
        raise too_large_error(where, f"{width:,} x {height:,}")
    if not height * width:
        raise FerError(f"{where}: expected {EXPECTED}, got one of {width} x {height} pixels.")


def too_large_error(where: str, size: str) -> FerError:
    """Return the error for an image with too many pixels."""
    limit = MAX_PIXELS // 1_000_000
    return FerError(f"{where}: expected at most {limit} megapixels, got {size} pixels. Reduce the image.")
