"""Whether two images show the same photograph: their fine detail must agree somewhere within a few pixels.

Plain correlation cannot tell: two faces before a dark wall reach 0.95. What is finer than a facial feature
(creases, teeth, strands of hair, the edge of a shadow) differs between photographs and survives another crop,
light, watermark or recompression.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

MIN_DETAIL = 0.75  # docs/decisions/0005-duplicates.md
_MAX_SHIFT = 6  # px of 48 either way, along each axis
_FINE, _BROAD, _AROUND = 1.0, 2.0, 4.0  # px: the band of detail, and the neighbourhood that sets its contrast
_NOISE = 3.0  # gray levels: contrast below it is not amplified
_PORTION = 512


def correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return how well the detail of each pair agrees, where it does so best.

    Args:
        thumbnails: uint8 ``(N, 48, 48)``.
        pairs: int64 ``(P, 3)``: first, second, and 1 to mirror the second.

    Returns:
        float32 ``(P,)`` in [-1, 1].
    """
    details = {int(i): detail(thumbnails[i]) for i in np.unique(pairs[:, :2])}

    def compare(portion: np.ndarray) -> list[float]:
        return [_agreement(details[i], details[j], bool(turned)) for i, j, turned in portion.tolist()]

    with ThreadPoolExecutor() as threads:
        portions = [pairs[start : start + _PORTION] for start in range(0, len(pairs), _PORTION)]
        return np.array([value for part in threads.map(compare, portions) for value in part], np.float32)


def detail(image: np.ndarray) -> np.ndarray:
    """Return an image's band of fine detail at even contrast, float32 ``(48, 48)``."""
    pixels = image.astype(np.float32)
    band = cv2.GaussianBlur(pixels, (0, 0), _FINE) - cv2.GaussianBlur(pixels, (0, 0), _BROAD)
    contrast = cv2.sqrt(cv2.GaussianBlur(band * band, (0, 0), _AROUND))
    return band / (contrast + _NOISE)


def _agreement(first: np.ndarray, second: np.ndarray, turned: bool) -> float:
    """Return the largest correlation of the second's middle with any place of the first."""
    inner = slice(_MAX_SHIFT, -_MAX_SHIFT)
    middle = second[inner, inner]
    middle = cv2.flip(middle, 1) if turned else middle
    return float(cv2.matchTemplate(first, middle, cv2.TM_CCOEFF_NORMED).max())
