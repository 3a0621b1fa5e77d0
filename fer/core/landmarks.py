"""Five landmarks of a face, as YuNet, MTCNN and RetinaFace give them, and the transform that aligns them.

By their position in an upright image: left eye, right eye, tip of the nose, left and right corner of the
mouth.
"""

import numpy as np

NUM_POINTS = 5
# Where the landmarks of an aligned face are, as fractions of the image's side: means of YuNet's landmarks on
# FER2013's training images, made symmetric. An aligned face then is as large as in FER2013 on average.
ALIGNED = ((0.326, 0.374), (0.674, 0.374), (0.5, 0.559), (0.354, 0.739), (0.646, 0.739))
# Points count as coincident if their extent is a smaller fraction of their distance from the origin.
_MIN_EXTENT = 1e-6


def similarity_transform(source: np.ndarray, target: np.ndarray, rotate: bool = True) -> np.ndarray | None:
    """Return the similarity transform from ``source`` to ``target`` with the least squared error.

    Umeyama (1991, https://doi.org/10.1109/34.88573). In the plane, with points as complex numbers, it is the
    linear fit ``target = a * source + b`` and needs no singular value decomposition. It never reflects.

    Args:
        source: ``(n, 2)``, x and y, n of 2 or more.
        target: ``(n, 2)``.
        rotate: Allow rotation; without it ``a`` is real.

    Returns:
        float64 ``(2, 3)``, to be multiplied by ``(x, y, 1)``. None if there is no such transform: a point is
        not finite, all points coincide, or the target is the source's mirror image.
    """
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        return None
    points, goals = (np.asarray(part, np.float64) @ (1, 1j) for part in (source, target))
    center, goal = points.mean(), goals.mean()
    centered = points - center
    extent = np.vdot(centered, centered).real
    if extent <= (_MIN_EXTENT * (1 + abs(center))) ** 2:
        return None
    factor = np.vdot(centered, goals - goal) / extent
    if not rotate:
        factor = complex(factor.real)
    if abs(factor) * extent**0.5 <= _MIN_EXTENT or (not rotate and factor.real <= 0):
        return None
    shift = goal - factor * center
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
