"""Lay one set of points on another by moving, turning and scaling."""

import numpy as np

_FLAT = 1e-6  # share of the points' own distance from the origin that counts as no extent at all


def similarity(source: np.ndarray, target: np.ndarray, turn: bool = True) -> np.ndarray | None:
    """Return the similarity that brings ``source`` nearest to ``target`` in the sense of least squares.

    That of Umeyama (1991, https://doi.org/10.1109/34.88573). In the plane, with points as complex numbers, it
    is the line ``target = a * source + b`` and needs no singular values; a cannot mirror.

    Args:
        source: ``(n, 2)``, x and y, n of 2 or more.
        target: ``(n, 2)``.
        turn: Allow turning; without it ``a`` is real.

    Returns:
        float64 ``(2, 3)``, to be multiplied by ``(x, y, 1)``. None where there is no such similarity: a point
        is not finite, all points are in one place, or the target is the source's mirror image.
    """
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        return None
    points, goals = (np.asarray(part, np.float64) @ (1, 1j) for part in (source, target))
    centre, goal = points.mean(), goals.mean()
    spread = points - centre
    extent = np.vdot(spread, spread).real
    if extent <= (_FLAT * (1 + abs(centre))) ** 2:
        return None
    factor = np.vdot(spread, goals - goal) / extent
    if not turn:
        factor = complex(factor.real)
    if abs(factor) * extent**0.5 <= _FLAT or (not turn and factor.real <= 0):
        return None
    shift = goal - factor * centre
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
