"""Find exact and near duplicates among images."""

import hashlib
import os
import uuid
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.data.cache import cache_folder
from fer.data.duplicates.search import candidate_pairs
from fer.data.duplicates.signature import ImageScan, dct_coefficients, pixel_digests, scan_images
from fer.data.duplicates.verify import MIN_DETAIL, detail_correlations
from fer.data.pictures import ImageFiles

# Increase it whenever the results change: cached results of other versions are ignored.
VERSION = 1


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


def find_in_scan(scanned: ImageScan) -> Duplicates:
    """Return the exact and near duplicates among scanned images."""
    exact = _first_rows(scanned.digests)
    firsts = np.flatnonzero(exact == np.arange(len(exact)))
    thumbnails = scanned.thumbnails[firsts]
    pairs = candidate_pairs(dct_coefficients(thumbnails))
    correlation = detail_correlations(thumbnails, pairs)
    confirmed = correlation >= MIN_DETAIL
    pairs, correlation = _best_orientation(pairs[confirmed], correlation[confirmed])
    pairs[:, :2] = firsts[pairs[:, :2]]
    return Duplicates(exact, merge_groups(exact, pairs), pairs, correlation)


def _first_rows(values: list[bytes]) -> np.ndarray:
    """Return for each value the position of the first equal one."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(value, row) for row, value in enumerate(values)], np.int64)


def _best_orientation(pairs: np.ndarray, correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the better match of a pair that matches both as it is and mirrored."""
    order = np.lexsort((-correlation, pairs[:, 1], pairs[:, 0]))
    pairs, correlation = pairs[order], correlation[order]
    is_best = np.ones(len(pairs), bool)
    is_best[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(1)
    return pairs[is_best], correlation[is_best]


def merge_groups(exact: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the smallest row of each image's connected component, int64 ``(N,)`` (union-find).

    Args:
        exact: As in `Duplicates`.
        pairs: As in `Duplicates`, or a subset.
    """
    parent = exact.tolist()

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second, _ in pairs.tolist():
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return np.array([root(row) for row in range(len(parent))], np.int64)


def _load(path: Path) -> Duplicates | None:
    """Return a cached result, or None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Duplicates(*(stored[name] for name in Duplicates.__dataclass_fields__))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _store(path: Path, duplicates: Duplicates) -> None:
    """Write a result atomically: to a temporary file that is then renamed."""
    # The cache removes temporary files of killed processes.
    temporary = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                np.savez_compressed(file, **vars(duplicates))
            os.replace(temporary, path)  # noqa: PTH105 - documented to be atomic
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"{path}: the search result cannot be cached: {error}. Continuing without the cache.",
            stacklevel=3,
        )
