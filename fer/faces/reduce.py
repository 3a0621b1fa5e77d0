"""Pictures made smaller for a detector: it sees large faces as well there, many times faster."""

import cv2
import numpy as np

# The longer side that a detector sees, in pixels. A 640 x 480 frame seen at 320 gives up only faces below 40
# pixels, fewer than models look at, and costs a quarter; photographs are seen at up to 640, for crowds.
SMALLEST_VIEW, LARGEST_VIEW = 320, 640


def usual_view(picture: np.ndarray) -> float:
    """Return the longer side in pixels at which a picture ``(H, W, ...)`` is best looked at."""
    return min(max(max(picture.shape[:2]) / 2, SMALLEST_VIEW), LARGEST_VIEW)


def reduced(picture: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Average a picture down until its longer side is at most ``longest`` pixels.

    Args:
        picture: uint8 ``(H, W, 3)`` or ``(H, W)``.
        longest: In pixels.

    Returns:
        The smaller picture, and by what its x and y are to be multiplied, float64 ``(2,)``.
    """
    height, width = picture.shape[:2]
    factor = max(height, width) / longest
    if factor <= 1:
        return picture, np.ones(2)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small, np.array([width / size[0], height / size[1]])
