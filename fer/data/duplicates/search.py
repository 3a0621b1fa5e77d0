"""Find candidate pairs of near duplicates by the distance of their perceptual hashes.

All pairs are compared: half a billion XORs for FER2013 take a second. Multi-index hashing would be
faster only at a small distance (Norouzi et al. 2012, https://arxiv.org/abs/1307.2982).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer.data.duplicates.signature import hash_coefficients, mirror_coefficients

# docs/decisions/0005-duplicates.md
# Hamming distance, bits of 64.
MAX_DISTANCE = 14
# Correlation of two images without their fine detail.
MIN_COARSE = 0.8
# Pairs compared at once: 32 MB of XORs per thread.
_PAIRS_PER_BLOCK = 1 << 22


def candidate_pairs(coefs: np.ndarray) -> np.ndarray:
    """Return the pairs whose hashes are close and whose coefficients correlate.

    Args:
        coefs: float32 ``(N, 64)`` of `coefficients`; a row of zeros is never in a pair.

    Returns:
        int64 ``(P, 3)``, sorted: first < second, and 1 if the match is with the mirrored second image.
    """
    orientations = (coefs, mirror_coefficients(coefs))
    hashes = tuple(map(hash_coefficients, orientations))
    block_size = max(1, _PAIRS_PER_BLOCK // max(1, len(coefs)))
    blocks = [(start, mirrored) for start in range(0, len(coefs), block_size) for mirrored in (0, 1)]

    def compare(block: tuple[int, int]) -> np.ndarray:
        start, mirrored = block
        pairs = _near(hashes[0], hashes[mirrored], start, block_size)
        correlation = np.einsum("pc,pc->p", coefs[pairs[:, 0]], orientations[mirrored][pairs[:, 1]])
        pairs = pairs[correlation >= MIN_COARSE]
        return np.column_stack([pairs, np.full(len(pairs), mirrored)])

    with ThreadPoolExecutor() as threads:
        candidates = np.concatenate([np.empty((0, 3), np.int64), *threads.map(compare, blocks)])
    return candidates[np.lexsort(candidates.T[::-1])]


def _near(hashes: np.ndarray, others: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return the pairs (i, j) of close hashes, int64 ``(P, 2)``, start <= i < start + count and i < j."""
    distance = np.bitwise_count(hashes[start : start + count, None] ^ others[None, start:])
    first, second = np.divmod(np.flatnonzero(distance <= MAX_DISTANCE), distance.shape[1])
    above = second > first
    return np.column_stack([first[above], second[above]]) + start
