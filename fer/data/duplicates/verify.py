"""Confirm that two images show the same photograph, by the correlation of their fine detail.

Correlation of the pixels is not enough: two faces in front of a dark wall reach 0.95. Detail finer than a
facial feature (creases, teeth, strands of hair, edges of shadows) differs between photographs, and survives
another crop, brightness, watermark or compression.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

# docs/decisions/0005-duplicates.md
MIN_DETAIL = 0.75
# Pixels of 48, in both directions along each axis.
_MAX_SHIFT = 6
# Sigmas in pixels: limits of the band of detail, and the neighborhood for contrast normalization.
_FINE_SIGMA, _COARSE_SIGMA, _CONTRAST_SIGMA = 1.0, 2.0, 4.0
# Gray levels. Contrast below it is not amplified.
_NOISE = 3.0
_PAIRS_PER_TASK = 512


def detail_correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the correlation of each pair's fine detail, at the shift where it is highest.

    Args:
        thumbnails: uint8 ``(N, 48, 48)``.
        pairs: int64 ``(P, 3)``: first, second, and 1 to mirror the second.

    Returns:
        float32 ``(P,)`` in [-1, 1].
    """
    details = {int(i): fine_detail(thumbnails[i]) for i in np.unique(pairs[:, :2])}

    def compare(chunk: np.ndarray) -> list[float]:
        return [_max_correlation(details[i], details[j], bool(mirror)) for i, j, mirror in chunk.tolist()]

    with ThreadPoolExecutor() as threads:
        chunks = [pairs[start : start + _PAIRS_PER_TASK] for start in range(0, len(pairs), _PAIRS_PER_TASK)]
        return np.array([value for part in threads.map(compare, chunks) for value in part], np.float32)


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
