"""Label layout: place labels near their faces, inside the image, without overlap where possible."""

from collections.abc import Sequence

import numpy as np

# Costs of a label that is completely on another label, that is completely on a face, and of one rank in the
# list of preferred positions or one label height of distance from the face.
_ON_LABEL, _ON_FACE, _PER_RANK = 1000.0, 10.0, 0.1


def place_label(
    size: tuple[int, int],
    face: np.ndarray,
    labels: Sequence[np.ndarray],
    faces: Sequence[np.ndarray],
    shape: tuple[int, int],
    reach: int,
    beside: bool = False,
) -> np.ndarray:
    """Return the cheapest position of a label: adjacent to its face, or as near as there is space.

    Args:
        size: Width and height of the label in pixels.
        face: Left, top, right and bottom of its face.
        labels: Boxes of the labels placed so far.
        faces: Boxes of all faces.
        shape: Width and height of the image.
        reach: Largest distance of the label from its face in pixels.
        beside: Prefer positions beside the face to those above it.

    Returns:
        int ``(4,)``: left, top, right, bottom; inside the image unless the label is larger than the image.
    """
    window = np.hstack([face[:2] - reach - size, face[2:] + reach + size])
    near_labels, near_faces = _touching(labels, window), _touching(faces, window)
    boxes = _adjacent(size, face, shape, beside)
    rank = np.arange(len(boxes), dtype=float)
    if (covered_fraction(boxes, np.concatenate([near_labels, near_faces])) > 0).all():
        grid = _grid(size, shape, window)
        distance = _distances(grid, face)
        boxes = np.concatenate([boxes, grid[distance <= reach]])
        rank = np.concatenate([rank, len(rank) + distance[distance <= reach] / size[1]])
    cost = _ON_LABEL * covered_fraction(boxes, near_labels) + _PER_RANK * rank
    cost += _ON_FACE * covered_fraction(boxes, near_faces)
    return boxes[int(cost.argmin())]


def covered_fraction(boxes: np.ndarray, others: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return the fraction of each box's area that other boxes cover, summed over these.

    Args:
        boxes: ``(n, 4)``: left, top, right, bottom.
        others: ``(m, 4)``.

    Returns:
        float ``(n,)``.
    """
    if not len(others):
        return np.zeros(len(boxes))
    first, second = boxes[:, None, :], np.asarray(others)[None]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (high - low).clip(0).prod(2).sum(1) / np.maximum(area, 1)


def _distances(boxes: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return the distance of each box ``(n, 4)`` from a face in pixels; 0 if they touch."""
    gaps = np.maximum(boxes[:, :2] - face[2:], face[:2] - boxes[:, 2:]).clip(0)
    return np.hypot(gaps[:, 0], gaps[:, 1])


def _adjacent(size: tuple[int, int], face: np.ndarray, shape: tuple[int, int], beside: bool) -> np.ndarray:
    """Return the eight positions adjacent to a face, most preferred first."""
    (width, height), (left, top, right, bottom) = size, face
    rows = [(left, top - height), (left, bottom), (right - width, top - height), (right - width, bottom)]
    sides = [(right, top), (left - width, top), (right, bottom - height), (left - width, bottom - height)]
    return _inside(np.array(sides + rows if beside else rows + sides), size, shape)


def _touching(boxes: Sequence[np.ndarray], window: np.ndarray) -> np.ndarray:
    """Return the boxes that overlap a window, int ``(n, 4)``; distant ones in a crowd need no check."""
    array = np.array(boxes).reshape(-1, 4)
    return array[(array[:, :2] < window[2:]).all(1) & (window[:2] < array[:, 2:]).all(1)]


def _grid(size: tuple[int, int], shape: tuple[int, int], window: np.ndarray) -> np.ndarray:
    """Return the positions in a window, ``(n, 4)``, of a grid over the whole image.

    The spacing is half the label's height and a quarter of its width.
    """
    across, down = (
        np.arange(0, max(1, shape[axis] - size[axis] + 1), max(1, size[axis] // step))
        for axis, step in ((0, 4), (1, 2))
    )
    across = across[(across >= window[0]) & (across <= window[2])]
    down = down[(down >= window[1]) & (down <= window[3])]
    corners = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    return _inside(corners, size, shape)


def _inside(corners: np.ndarray, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Return boxes with these top left corners, shifted to lie inside the image."""
    largest = np.maximum(np.array(shape) - size, 0)
    corners = corners.astype(int).clip(0, largest)
    return np.hstack([corners, corners + size])
