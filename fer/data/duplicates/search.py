"""Pairs of images that may show the same photograph, by the distance of their perceptual hashes.

Every pair is looked at: half a billion XORs for FER2013 take a second. Tables of parts of the hash would be
faster at a small distance alone (multi-index hashing, Norouzi et al. 2012, https://arxiv.org/abs/1307.2982).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer.data.duplicates.signature import hashes, mirror

# docs/decisions/0005-duplicates.md
MAX_DISTANCE = 14  # bits of 64
MIN_COARSE = 0.8  # correlation of two images without their fine detail
_CELLS = 1 << 22  # pairs looked at together: 32 MB of XORs a thread


def candidates(coefs: np.ndarray) -> np.ndarray:
    """Return the pairs whose hashes are near and whose coefficients correlate.

    Args:
        coefs: float32 ``(N, 64)`` of `coefficients`; a row of zeros is never part of a pair.

    Returns:
        int64 ``(P, 3)``: first < second, and 1 where it is the second's mirror image that is alike; sorted.
    """
    ways = (coefs, mirror(coefs))
    codes = tuple(map(hashes, ways))
    height = max(1, _CELLS // max(1, len(coefs)))
    tasks = [(start, way) for start in range(0, len(coefs), height) for way in (0, 1)]

    def look(task: tuple[int, int]) -> np.ndarray:
        start, way = task
        pairs = _near(codes[0], codes[way], start, height)
        dots = np.einsum("pc,pc->p", coefs[pairs[:, 0]], ways[way][pairs[:, 1]])
        pairs = pairs[dots >= MIN_COARSE]
        return np.column_stack([pairs, np.full(len(pairs), way)])

    with ThreadPoolExecutor() as threads:
        found = np.concatenate([np.empty((0, 3), np.int64), *threads.map(look, tasks)])
    return found[np.lexsort(found.T[::-1])]


def _near(codes: np.ndarray, others: np.ndarray, start: int, height: int) -> np.ndarray:
    """Return pairs (i, j), int64 ``(P, 2)``, start <= i < start + height and i < j, of near hashes."""
    distance = np.bitwise_count(codes[start : start + height, None] ^ others[None, start:])
    first, second = np.divmod(np.flatnonzero(distance <= MAX_DISTANCE), distance.shape[1])
    above = second > first
    return np.column_stack([first[above], second[above]]) + start
