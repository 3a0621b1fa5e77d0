"""What images are recognised by: a digest of the pixels, a small gray copy, and a perceptual hash of that."""

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from fer.data.pictures import ImageFiles

SIDE = 48  # of the small gray copies, px; FER2013's own size
_NUM_COEFFICIENTS = 64  # a bit each
_NUM_FREQUENCIES = 13  # along an axis; enough for the 64 lowest
_PORTION = 1024  # images held or decoded at a time
_FLAT = 2.0  # gray levels, root mean square: an image that varies by less shows nothing to recognise


class Scan(NamedTuple):
    """What one pass over the images leaves.

    Attributes:
        digests: SHA-256 of the shape and the pixels of each image, N times 32 bytes.
        thumbnails: uint8 ``(N, 48, 48)``, gray.
    """

    digests: list[bytes]
    thumbnails: np.ndarray


def scan(images: np.ndarray | ImageFiles) -> Scan:
    """Read every image once, in portions: of a set on disk no more than a portion is held.

    A picture that cannot be read, and may be skipped, is like no other.
    """
    found = [f"unreadable {row}".encode() for row in range(len(images))]
    thumbnails = np.zeros((len(images), SIDE, SIDE), np.uint8)
    for rows, portion in _portions(images):
        for row, image in zip(rows, portion, strict=True):
            found[row], thumbnails[row] = pixel_digest(image), _shrink(image)
    return Scan(found, thumbnails)


def digests(images: np.ndarray) -> list[bytes]:
    """Return the SHA-256 of each image's shape and pixels."""
    return [pixel_digest(image) for image in images]


def pixel_digest(image: np.ndarray) -> bytes:
    """Return the SHA-256 of an image's shape and pixels."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def _portions(images: np.ndarray | ImageFiles) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows int64 ``(n,)`` and their images ``(n, H, W, C)``, those that can be read."""
    for start in range(0, len(images), _PORTION):
        rows = np.arange(start, min(start + _PORTION, len(images)))
        if not isinstance(images, ImageFiles):
            yield rows, images[rows]
            continue
        pixels, readable = images.read(rows, threads=os.cpu_count() or 1)
        if not readable.all():
            images.give_up(rows[~readable], all_of_it=False)
        yield rows[readable], pixels


def _shrink(image: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    if gray.shape == (SIDE, SIDE):
        return gray
    smooth = cv2.INTER_AREA if min(gray.shape) > SIDE else cv2.INTER_LINEAR
    return cv2.resize(gray, (SIDE, SIDE), interpolation=smooth)


def coefficients(thumbnails: np.ndarray) -> np.ndarray:
    """Return the 64 lowest coefficients of each image's discrete cosine transform, the mean left out.

    The basis is orthonormal and the result of unit length, so the dot product of two rows is the normalised
    correlation of the two images without their fine detail.

    Args:
        thumbnails: uint8 ``(N, 48, 48)``.

    Returns:
        float32 ``(N, 64)``; a row of zeros for an image that is of one gray all over.
    """
    rows, columns = _lowest()
    basis = _basis()
    found = np.empty((len(thumbnails), _NUM_COEFFICIENTS), np.float32)
    for start in range(0, len(thumbnails), _PORTION):
        pixels = thumbnails[start : start + _PORTION].astype(np.float32)
        found[start : start + _PORTION] = (basis @ pixels @ basis.T)[:, rows, columns]
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(length < _FLAT * SIDE, 0, found / np.maximum(length, 1)).astype(np.float32)


def mirror(coefs: np.ndarray) -> np.ndarray:
    """Return the coefficients ``(N, 64)`` of the mirrored images: odd waves along a row change their sign."""
    return coefs * np.where(_lowest()[1] % 2, -1, 1).astype(np.float32)


def hashes(coefs: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of each image: the signs of its coefficients, uint64 ``(N,)``.

    The DCT hash of Zauner 2010, https://www.phash.org/docs/pubs/thesis_zauner.pdf, with the lowest
    frequencies by diagonals in place of a square.
    """
    return np.packbits(coefs > 0, axis=1).view(np.uint64)[:, 0]


def perceptual_hashes(images: np.ndarray | ImageFiles) -> np.ndarray:
    """Return the perceptual hash of each image, uint64 ``(N,)``; read once, in portions."""
    return hashes(coefficients(scan(images).thumbnails))


def _lowest() -> tuple[np.ndarray, np.ndarray]:
    """Return (vertical, horizontal) frequency of the coefficients, from low to high, int64 ``(64,)`` each."""
    vertical, horizontal = np.indices((_NUM_FREQUENCIES, _NUM_FREQUENCIES)).reshape(2, -1)
    diagonal, skew = vertical + horizontal, np.abs(vertical - horizontal)
    order = np.lexsort((skew, diagonal))[1 : _NUM_COEFFICIENTS + 1]  # [0] is the mean
    return vertical[order], horizontal[order]


def _basis() -> np.ndarray:
    """Return the first rows of the orthonormal DCT-II, float32 ``(13, 48)``."""
    frequency, place = np.arange(_NUM_FREQUENCIES)[:, None], np.arange(SIDE)[None]
    waves = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)
