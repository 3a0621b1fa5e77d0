"""Search for exact and near duplicates among images, and cache the result.

1. Exact duplicates have the same SHA-256 of their pixels.
2. Candidates for near duplicates are pairs with a small distance of their perceptual hashes
   (`candidate_pairs`).
3. A candidate is a near duplicate if its fine detail correlates (`detail_correlations`).
4. Images that are connected by pairs form a group (`merge_groups`).

Memory is that of the thumbnails (2.3 kB per image) and of the pairs found: all pairs are compared in
blocks, and candidates are checked as they are found.

docs/decisions/0005-duplicates.md has the measurements behind the thresholds.
"""

import hashlib
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer.core.paths import atomic_write, cache_folder
from fer.core.threads import available_cores
from fer.data.duplicates.hashes import (
    ImageScan,
    dct_coefficients,
    hash_coefficients,
    mirror_coefficients,
    pixel_digests,
    scan_images,
)
from fer.data.image_files import ImageFiles

# Increase it whenever the results change: cached results of other versions are ignored.
VERSION = 1
# Maximum Hamming distance of two hashes, in bits of 64.
MAX_DISTANCE = 14
# Minimum correlation of two images without their fine detail.
MIN_COARSE = 0.8
# Minimum correlation of the fine detail of two images.
MIN_DETAIL = 0.75
# Shift at which the detail of two images is compared, in pixels of 48, in both directions along each axis.
_MAX_SHIFT = 6
# Sigmas in pixels: limits of the band of fine detail, and the neighborhood for contrast normalization.
_FINE_SIGMA, _COARSE_SIGMA, _CONTRAST_SIGMA = 1.0, 2.0, 4.0
# Contrast below this number of gray levels is not amplified.
_NOISE = 3.0
# Pairs compared at once: 32 MB of XORs per thread.
_PAIRS_PER_BLOCK = 1 << 22
# Candidates whose coefficients are compared at once: 32 MB per thread.
_CANDIDATES_PER_BLOCK = 1 << 16
# Candidates whose detail is compared at a time, by a thread (9 kB each) and by all threads.
_PAIRS_PER_TASK, _PAIRS_PER_CHECK = 512, 1 << 14
# Blocks that each thread compares before their candidates are checked.
_BLOCKS_PER_THREAD = 4


@dataclass(frozen=True)
class Duplicates:
    """Groups of images with the same pixels, and of images of the same photograph.

    Attributes:
        exact: int64 ``(N,)``, row of the first image with the same pixels.
        groups: int64 ``(N,)``, row of the first image of the same photograph (connected components of
            ``pairs``); equal to ``exact`` if near duplicates were not searched.
        pairs: int64 ``(P, 3)``, near duplicates: two rows, and 1 if one is the mirror image of the other.
            Exact duplicates are represented by the first. None if near duplicates were not searched.
        correlation: float32 ``(P,)``, correlation of each pair's fine detail, at most 1; or None.
    """

    exact: np.ndarray
    groups: np.ndarray
    pairs: np.ndarray | None = None
    correlation: np.ndarray | None = None


def find_exact_duplicates(images: np.ndarray) -> Duplicates:
    """Return the groups of images with the same pixels; 0.25 s for FER2013."""
    exact = _first_rows(pixel_digests(images))
    return Duplicates(exact, exact)


def find_duplicates(images: np.ndarray | ImageFiles) -> Duplicates:
    """Return the exact and near duplicates among images. Results are cached on disk.

    A near duplicate is the same photograph with another crop (up to an eighth of the side), brightness,
    watermark or compression, or mirrored. Two photographs of one person are not duplicates.

    Args:
        images: uint8 ``(N, H, W, C)``, C is 1 or 3; read once, in batches. Files are identified in the cache
            by name, size and modification time, without decoding them.
    """
    scanned = None
    if isinstance(images, ImageFiles):
        # `skip_corrupt` belongs to the key: without it a damaged file must raise an error.
        content = f"{images.fingerprint()} {images.skip_corrupt}".encode()
    else:
        scanned = scan_images(images)
        content = b"".join(scanned.digests)
    name = hashlib.sha256(f"{VERSION}".encode() + content).hexdigest()[:16]
    path = cache_folder() / f"duplicates-{name}.npz"
    if (stored := _load(path)) is None:
        print("Searching near duplicates. The result is cached for later runs.", flush=True)
        stored = find_in_scan(scanned or scan_images(images))
        _store(path, stored)
    return stored


def _load(path: Path) -> Duplicates | None:
    """Return a cached result, or None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Duplicates(*(stored[name] for name in Duplicates.__dataclass_fields__))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _store(path: Path, duplicates: Duplicates) -> None:
    """Write a result to the cache, or warn that it cannot be stored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.savez_compressed(file, **vars(duplicates))
    except OSError as error:
        warnings.warn(
            f"{path}: the search result cannot be cached: {error}. Continuing without the cache.",
            stacklevel=3,
        )


def find_in_scan(scanned: ImageScan) -> Duplicates:
    """Return the exact and near duplicates among scanned images."""
    exact = _first_rows(scanned.digests)
    firsts = np.flatnonzero(exact == np.arange(len(exact)))
    pairs, correlation = [np.empty((0, 3), np.int64)], [np.empty(0, np.float32)]
    for candidates in _merged(candidate_blocks(dct_coefficients(scanned.thumbnails)[firsts])):
        candidates[:, :2] = firsts[candidates[:, :2]]
        details = detail_correlations(scanned.thumbnails, candidates)
        pairs.append(candidates[details >= MIN_DETAIL])
        correlation.append(details[details >= MIN_DETAIL])
    near, values = _best_orientation(np.concatenate(pairs), np.concatenate(correlation))
    return Duplicates(exact, merge_groups(exact, near), near, values)


def _merged(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the rows of arrays in arrays of about `_PAIRS_PER_CHECK` rows."""
    waiting, length = [np.empty((0, 3), np.int64)], 0
    for block in blocks:
        waiting.append(block)
        length += len(block)
        if length >= _PAIRS_PER_CHECK:
            yield np.concatenate(waiting)
            waiting, length = waiting[:1], 0
    yield np.concatenate(waiting)


def _first_rows(values: list[bytes]) -> np.ndarray:
    """Return for each value the position of the first equal one."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(value, row) for row, value in enumerate(values)], np.int64)


def _best_orientation(pairs: np.ndarray, correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs without the worse match of a pair that matches both unchanged and mirrored."""
    order = np.lexsort((pairs[:, 2], -correlation, pairs[:, 1], pairs[:, 0]))
    pairs, correlation = pairs[order], correlation[order]
    is_best = np.ones(len(pairs), bool)
    is_best[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(1)
    return pairs[is_best], correlation[is_best]


def merge_groups(exact: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the smallest row of each image's connected component, int64 ``(N,)``.

    Args:
        exact: As in `Duplicates`.
        pairs: As in `Duplicates`, or a subset.
    """
    rows = np.arange(len(exact))
    edges = np.concatenate([np.column_stack([rows, exact]), pairs[:, :2]]).T
    graph = coo_array((np.ones(edges.shape[1], bool), (edges[0], edges[1])), shape=(len(rows), len(rows)))
    component = connected_components(graph, directed=False)[1]
    return np.unique(component, return_index=True)[1][component]


def candidate_blocks(coefs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pairs whose hashes are close and whose coefficients correlate.

    All pairs are compared: half a billion XORs for FER2013 take a second. Multi-index hashing would be faster
    only at a small distance (Norouzi et al. 2012, https://arxiv.org/abs/1307.2982).

    Args:
        coefs: float32 ``(N, 64)`` from `dct_coefficients`; a row of zeros is never in a pair.

    Yields:
        int64 ``(P, 3)``: first < second, and 1 if the match is with the mirrored second image.
    """
    orientations = (coefs, mirror_coefficients(coefs))
    hashes = tuple(map(hash_coefficients, orientations))
    block_size = max(1, _PAIRS_PER_BLOCK // max(1, len(coefs)))
    blocks = [(start, mirrored) for start in range(0, len(coefs), block_size) for mirrored in (0, 1)]

    def compare(block: tuple[int, int]) -> np.ndarray:
        start, mirrored = block
        pairs = _close_pairs(hashes[0], hashes[mirrored], start, block_size)
        parts = np.array_split(pairs, range(_CANDIDATES_PER_BLOCK, len(pairs), _CANDIDATES_PER_BLOCK))
        correlation = [
            np.einsum("pc,pc->p", coefs[part[:, 0]], orientations[mirrored][part[:, 1]]) for part in parts
        ]
        pairs = pairs[np.concatenate(correlation) >= MIN_COARSE]
        return np.column_stack([pairs, np.full(len(pairs), mirrored)])

    workers = available_cores()
    with ThreadPoolExecutor(workers) as threads:
        for start in range(0, len(blocks), workers * _BLOCKS_PER_THREAD):
            yield from threads.map(compare, blocks[start : start + workers * _BLOCKS_PER_THREAD])


def _close_pairs(hashes: np.ndarray, others: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return the pairs ``(i, j)`` with close hashes, int64 ``(P, 2)``; start <= i < start + count, i < j."""
    distance = np.bitwise_count(hashes[start : start + count, None] ^ others[None, start:])
    first, second = np.divmod(np.flatnonzero(distance <= MAX_DISTANCE), distance.shape[1])
    above = second > first
    return np.column_stack([first[above], second[above]]) + start


def detail_correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the correlation of each pair's fine detail, at the shift where it is highest.

    Args:
        thumbnails: uint8 ``(N, 48, 48)``.
        pairs: int64 ``(P, 3)``: first, second, and 1 to mirror the second.

    Returns:
        float32 ``(P,)`` in [-1, 1].
    """

    def compare(part: np.ndarray) -> list[float]:
        details = {int(i): fine_detail(thumbnails[i]) for i in np.unique(part[:, :2])}
        return [_max_correlation(details[i], details[j], bool(mirror)) for i, j, mirror in part.tolist()]

    with ThreadPoolExecutor(available_cores()) as threads:
        parts = [pairs[start : start + _PAIRS_PER_TASK] for start in range(0, len(pairs), _PAIRS_PER_TASK)]
        return np.array([value for part in threads.map(compare, parts) for value in part], np.float32)


def fine_detail(image: np.ndarray) -> np.ndarray:
    """Return an image's band of fine detail with normalized local contrast, float32 ``(48, 48)``."""
    pixels = image.astype(np.float32)
    band = cv2.GaussianBlur(pixels, (0, 0), _FINE_SIGMA) - cv2.GaussianBlur(pixels, (0, 0), _COARSE_SIGMA)
    contrast = cv2.sqrt(cv2.GaussianBlur(band * band, (0, 0), _CONTRAST_SIGMA))
    return band / (contrast + _NOISE)


def _max_correlation(first: np.ndarray, second: np.ndarray, mirror: bool) -> float:
    """Return the highest correlation of the second's center with the first, over all shifts."""
    inner = slice(_MAX_SHIFT, -_MAX_SHIFT)
    center = second[inner, inner]
    center = cv2.flip(center, 1) if mirror else center
    return float(cv2.matchTemplate(first, center, cv2.TM_CCOEFF_NORMED).max())
