"""Where a label goes: near its face, inside the picture, on no other label and, if it can be, on no face."""

from collections.abc import Sequence

import numpy as np

# Costs of a whole label: on another label (never, if there is room near), on a face; of one place that is
# further down the list of wishes, or a label's height further away.
_ON_LABEL, _ON_FACE, _LESS_WISHED = 1000.0, 10.0, 0.1


def place(
    size: tuple[int, int],
    face: np.ndarray,
    labels: Sequence[np.ndarray],
    faces: Sequence[np.ndarray],
    shape: tuple[int, int],
    reach: int,
    beside: bool = False,
) -> np.ndarray:
    """Return the cheapest place of a label: next to its face, or as near as there is room.

    Args:
        size: Width and height of the label in pixels.
        face: Left, top, right and bottom of its face.
        labels: Those that are there, alike.
        faces: All faces, alike.
        shape: Width and height of the picture.
        reach: Pixels that it may be away from its face: further away nobody finds it.
        beside: Rather beside the face than above it.

    Returns:
        int ``(4,)``: left, top, right, bottom; inside the picture, if the label is not larger than that.
    """
    window = np.hstack([face[:2] - reach - size, face[2:] + reach + size])
    near_labels, near_faces = _touching(labels, window), _touching(faces, window)
    places = _next_to(size, face, shape, beside)
    wish = np.arange(len(places), dtype=float)
    if (overlaps(places, np.concatenate([near_labels, near_faces])) > 0).all():
        further = _raster(size, shape, window)
        away = _distances(further, face)
        places = np.concatenate([places, further[away <= reach]])
        wish = np.concatenate([wish, len(wish) + away[away <= reach] / size[1]])
    cost = _ON_LABEL * overlaps(places, near_labels) + _LESS_WISHED * wish
    cost += _ON_FACE * overlaps(places, near_faces)
    return places[int(cost.argmin())]


def overlaps(places: np.ndarray, others: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return how much of each place (n, 4) others cover, float ``(n,)`` in shares of its area, added up."""
    if not len(others):
        return np.zeros(len(places))
    one, two = places[:, None, :], np.asarray(others)[None]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    area = (places[:, 2:] - places[:, :2]).prod(1)
    return (high - low).clip(0).prod(2).sum(1) / np.maximum(area, 1)


def _distances(places: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return the distance from each place (n, 4) to a face, in pixels; 0 where they touch."""
    gaps = np.maximum(places[:, :2] - face[2:], face[:2] - places[:, 2:]).clip(0)
    return np.hypot(gaps[:, 0], gaps[:, 1])


def _next_to(size: tuple[int, int], face: np.ndarray, shape: tuple[int, int], beside: bool) -> np.ndarray:
    """Return the eight places that touch a face, the best first."""
    (width, height), (left, top, right, bottom) = size, face
    rows = [(left, top - height), (left, bottom), (right - width, top - height), (right - width, bottom)]
    sides = [(right, top), (left - width, top), (right, bottom - height), (left - width, bottom - height)]
    return _inside(np.array(sides + rows if beside else rows + sides), size, shape)


def _touching(others: Sequence[np.ndarray], window: np.ndarray) -> np.ndarray:
    """Return those that lie in a part of the picture, int ``(n, 4)``: a crowd's others need no look."""
    found = np.array(others).reshape(-1, 4)
    return found[(found[:, :2] < window[2:]).all(1) & (window[:2] < found[:, 2:]).all(1)]


def _raster(size: tuple[int, int], shape: tuple[int, int], window: np.ndarray) -> np.ndarray:
    """Return places in a part of a picture, (n, 4), half a label's height apart (a quarter of its width).

    They are those of a raster over the whole picture, whatever the part.
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
    room = np.maximum(np.array(shape) - size, 0)
    corners = corners.astype(int).clip(0, room)
    return np.hstack([corners, corners + size])
