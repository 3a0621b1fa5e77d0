"""Which images are copies of one another."""

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
from fer.data.duplicates.search import candidates
from fer.data.duplicates.signature import Scan, coefficients, digests, scan
from fer.data.duplicates.verify import MIN_DETAIL, correlations
from fer.data.pictures import ImageFiles

VERSION = 1  # of what is found; a new number makes stored results of older ones stale


@dataclass(frozen=True)
class Copies:
    """Groups of images with the same pixels, and of images that show the same photograph.

    Attributes:
        exact: int64 ``(N,)``, row of the first image with the same pixels.
        groups: int64 ``(N,)``, row of the first image of the same photograph, over any chain of pairs; the
            same as ``exact`` where near copies were not looked for.
        pairs: int64 ``(P, 3)``, near copies: two rows, and 1 where one is the other's mirror image. Of
            images with the same pixels only the first takes part. None where they were not looked for.
        correlation: float32 ``(P,)``, agreement of each pair's detail, up to 1; or None.
    """

    exact: np.ndarray
    groups: np.ndarray
    pairs: np.ndarray | None = None
    correlation: np.ndarray | None = None


def exact_copies(images: np.ndarray) -> Copies:
    """Find images with the same pixels: a quarter of a second for FER2013."""
    exact = _first_rows(digests(images))
    return Copies(exact, exact)


def all_copies(images: np.ndarray | ImageFiles) -> Copies:
    """Find exact and near copies, or take what was found in the same images before from the cache folder.

    Near are other crops (up to an eighth of the side), lights, watermarks, compressions and mirror images of
    one photograph; not other photographs of one person.

    Args:
        images: uint8 ``(N, H, W, C)``, C is 1 or 3; read once, in portions. Pictures on disk are known again
            by their files' names, sizes and times, and not decoded for it.
    """
    scanned = None
    if isinstance(images, ImageFiles):
        content = f"{images.fingerprint()} {images.skip_corrupt}".encode()  # else damaged files must be named
    else:
        scanned = scan(images)
        content = b"".join(scanned.digests)
    name = hashlib.sha256(f"{VERSION}".encode() + content).hexdigest()[:16]
    path = cache_folder() / f"duplicates-{name}.npz"
    if (stored := _load(path)) is None:
        print("Looking for near copies; the next run finds them in the cache.", flush=True)
        stored = find(scanned or scan(images))
        _store(path, stored)
    return stored


def find(scanned: Scan) -> Copies:
    """Find exact and near copies in scanned images."""
    exact = _first_rows(scanned.digests)
    firsts = np.flatnonzero(exact == np.arange(len(exact)))
    thumbnails = scanned.thumbnails[firsts]
    pairs = candidates(coefficients(thumbnails))
    agreement = correlations(thumbnails, pairs)
    alike = agreement >= MIN_DETAIL
    pairs, agreement = _best_way(pairs[alike], agreement[alike])
    pairs[:, :2] = firsts[pairs[:, :2]]
    return Copies(exact, grouped(exact, pairs), pairs, agreement)


def _first_rows(values: list[bytes]) -> np.ndarray:
    """Return for each value the position of the first one like it."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(value, row) for row, value in enumerate(values)], np.int64)


def _best_way(pairs: np.ndarray, agreement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep of a pair that is alike both plain and mirrored the better way."""
    order = np.lexsort((-agreement, pairs[:, 1], pairs[:, 0]))
    pairs, agreement = pairs[order], agreement[order]
    kept = np.ones(len(pairs), bool)
    kept[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(1)
    return pairs[kept], agreement[kept]


def grouped(exact: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the smallest row of each image's group, int64 ``(N,)``, over any chain of pairs (union-find).

    Args:
        exact: As in `Copies`.
        pairs: As in `Copies`, or some of them.
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


def _load(path: Path) -> Copies | None:
    """Return a stored result; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Copies(*(stored[name] for name in Copies.__dataclass_fields__))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _store(path: Path, copies: Copies) -> None:
    """Write a result beside its place and move it there, so that a reader sees a whole file or none."""
    draft = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")  # the cache removes what a kill has left
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                np.savez_compressed(file, **vars(copies))
            os.replace(draft, path)  # noqa: PTH105  as documented to be atomic
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"Going on without storing the copies that were found: {error}.", stacklevel=3)
