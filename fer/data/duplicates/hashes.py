"""Signatures of images: a digest of the pixels, a gray thumbnail, and its perceptual hash."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from fer.core.threads import available_cores
from fer.data.image_files import ImageFiles

# Side of the thumbnails in pixels, the size of FER2013's images.
SIDE = 48
# Coefficients of the cosine transform in a hash, one bit each.
_NUM_COEFFICIENTS = 64
# Frequencies per axis, enough for the 64 lowest coefficients.
_NUM_FREQUENCIES = 13
# Images loaded at a time.
_BATCH_SIZE = 1024
# Root mean square of an image's gray levels. An image that varies less has no content to compare.
_MIN_CONTRAST = 2.0
_NO_THUMBNAILS = np.empty((0, SIDE, SIDE), np.uint8)


class ImageScan(NamedTuple):
    """The result of one pass over the images.

    Attributes:
        digests: SHA-256 of the shape and the pixels of each image, N times 32 bytes.
        thumbnails: uint8 ``(N, 48, 48)``, gray.
    """

    digests: list[bytes]
    thumbnails: np.ndarray


def scan_images(images: np.ndarray | ImageFiles) -> ImageScan:
    """Return the digests and thumbnails of images, which are read once, in batches.

    An image file that cannot be read, and may be skipped, gets a unique digest.
    """
    digests = [f"unreadable {row}".encode() for row in range(len(images))]
    thumbnails = np.zeros((len(images), SIDE, SIDE), np.uint8)
    for rows, batch in _batches(images):
        for row, image, digest in zip(rows, batch, pixel_digests(batch), strict=True):
            digests[row], thumbnails[row] = digest, _thumbnail(image)
    return ImageScan(digests, thumbnails)


def pixel_digests(images: np.ndarray) -> list[bytes]:
    """Return the SHA-256 of each image's shape and pixels."""
    shape = repr(images.shape[1:]).encode()
    return [hashlib.sha256(shape + image.tobytes()).digest() for image in images]


def _batches(images: np.ndarray | ImageFiles) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows int64 ``(n,)`` and their images ``(n, H, W, C)``, without unreadable files."""
    for start in range(0, len(images), _BATCH_SIZE):
        rows = np.arange(start, min(start + _BATCH_SIZE, len(images)))
        if not isinstance(images, ImageFiles):
            yield rows, images[rows]
            continue
        pixels, readable = images.read(rows, threads=available_cores())
        if not readable.all():
            images.report_unreadable(rows[~readable], nothing_left=False)
        yield rows[readable], pixels


def _thumbnail(image: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    if gray.shape == (SIDE, SIDE):
        return gray
    interpolation = cv2.INTER_AREA if min(gray.shape) > SIDE else cv2.INTER_LINEAR
    return cv2.resize(gray, (SIDE, SIDE), interpolation=interpolation)


def dct_coefficients(thumbnails: np.ndarray) -> np.ndarray:
    """Return the 64 lowest coefficients of each image's discrete cosine transform, without the mean.

    The basis is orthonormal and each row has unit length, so the dot product of two rows is the normalized
    correlation of the two images without their fine detail.

    Args:
        thumbnails: uint8 ``(N, 48, 48)``.

    Returns:
        float32 ``(N, 64)``; a row of zeros for an image of one gray level.
    """
    rows, columns = _lowest_frequencies()
    basis = _basis()
    coefs = np.empty((len(thumbnails), _NUM_COEFFICIENTS), np.float32)
    for start in range(0, len(thumbnails), _BATCH_SIZE):
        pixels = thumbnails[start : start + _BATCH_SIZE].astype(np.float32)
        coefs[start : start + _BATCH_SIZE] = (basis @ pixels @ basis.T)[:, rows, columns]
    length = np.linalg.norm(coefs, axis=1, keepdims=True)
    return np.where(length < _MIN_CONTRAST * SIDE, 0, coefs / np.maximum(length, 1)).astype(np.float32)


def mirror_coefficients(coefs: np.ndarray) -> np.ndarray:
    """Return the coefficients ``(N, 64)`` of the mirrored images: odd horizontal frequencies change sign."""
    return coefs * np.where(_lowest_frequencies()[1] % 2, -1, 1).astype(np.float32)


def hash_coefficients(coefs: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of each image: the signs of its coefficients, uint64 ``(N,)``.

    The DCT hash of Zauner 2010, https://www.phash.org/docs/pubs/thesis_zauner.pdf, with the lowest
    frequencies chosen by diagonals instead of a square.
    """
    return np.packbits(coefs > 0, axis=1).view(np.uint64)[:, 0]


def perceptual_hashes(images: np.ndarray | ImageFiles) -> np.ndarray:
    """Return the perceptual hash of each image, uint64 ``(N,)``; 0 for an unreadable file."""
    hashes = np.zeros(len(images), np.uint64)
    for rows, batch in _batches(images):
        thumbnails = np.stack([_thumbnail(image) for image in batch]) if len(batch) else _NO_THUMBNAILS
        hashes[rows] = hash_coefficients(dct_coefficients(thumbnails))
    return hashes


def _lowest_frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Return (vertical, horizontal) frequency of the coefficients, from low to high, int64 ``(64,)`` each."""
    vertical, horizontal = np.indices((_NUM_FREQUENCIES, _NUM_FREQUENCIES)).reshape(2, -1)
    diagonal, skew = vertical + horizontal, np.abs(vertical - horizontal)
    # [0] is the mean.
    order = np.lexsort((skew, diagonal))[1 : _NUM_COEFFICIENTS + 1]
    return vertical[order], horizontal[order]


def _basis() -> np.ndarray:
    """Return the first rows of the orthonormal DCT-II, float32 ``(13, 48)``."""
    frequency, position = np.arange(_NUM_FREQUENCIES)[:, None], np.arange(SIDE)[None]
    waves = np.cos(np.pi * frequency * (2 * position + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)
