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
    matrix = similarity_transforms(source[None], target, rotate)[0]
    return None if np.isnan(matrix).any() else matrix


def similarity_transforms(sources: np.ndarray, target: np.ndarray, rotate: bool = True) -> np.ndarray:
    """Return the transform of each of several faces, as `similarity_transform`.

    Args:
        sources: ``(N, n, 2)``.
        target: ``(n, 2)``.
        rotate: As for one face.

    Returns:
        float64 ``(N, 2, 3)``; NaN where there is no transform.
    """
    # Coincident or infinite points divide by zero or give NaN, which is what they should.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        points, goals = (np.asarray(part, np.float64) @ (1, 1j) for part in (sources, target))
        center, goal = points.mean(1), goals.mean()
        centered = points - center[:, None]
        extent = (np.abs(centered) ** 2).sum(1)
        factor = centered.conj() @ (goals - goal) / extent
        if not rotate:
            factor = factor.real + 0j
        shift = goal - factor * center
        is_valid = np.isfinite(factor) & (extent > (_MIN_EXTENT * (1 + np.abs(center))) ** 2)
        is_valid &= np.abs(factor) * extent**0.5 > _MIN_EXTENT
        is_valid &= rotate | (factor.real > 0)
    rows = [factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag]
    return np.where(is_valid[:, None], np.stack(rows, 1), np.nan).reshape(-1, 2, 3)
