"""The relief of a face: bumps and hollows on the dome of the head, as a sum of round Gaussians.

Each Gaussian is separable, so the sum over an image is one matrix product, and so is its slope.
"""

import numpy as np

from fer.data.synthetic import anatomy
from fer.data.synthetic.parameters import FaceParameters

# x, y, radius, height, darkness, redness; mirrored if x is not 0. Lengths in half face widths.
_FIXED = [
    (0.0, -0.18, 0.08, 0.045, 0.0, 0.0),  # bridge of the nose
    (0.0, -0.05, 0.08, 0.055, 0.0, 0.0),
    (0.24, -0.33, 0.13, 0.05, 0.0, 0.0),  # brow ridge
    (0.5, -0.36, 0.13, 0.055, 0.0, 0.0),
    (0.66, -0.28, 0.11, 0.03, 0.0, 0.0),
    (0.42, -0.04, 0.19, -0.06, 0.16, 0.0),  # eye socket
    (0.22, -0.06, 0.09, -0.04, 0.17, 0.0),
    (0.44, 0.17, 0.1, 0.0, 0.06, 0.1),  # below the eye
    (0.93, -0.4, 0.22, -0.03, 0.1, 0.0),  # temple
    (0.26, -0.72, 0.3, 0.05, 0.0, 0.0),  # forehead
    (0.75, 0.85, 0.25, -0.02, 0.08, 0.0),  # hollow of the jaw
]


def relief_bumps(p: FaceParameters) -> tuple[np.ndarray, np.ndarray]:
    """Return the centers (N, 2) of the bumps, and their radius, height, darkness and redness (N, 4)."""
    half = [*_FIXED, *_nose(p), *_mouth(p), *_cheek(p), *_folds(p), *_frown(p)]
    table = np.array(half)
    mirrored = table[table[:, 0] != 0] * [-1, 1, 1, 1, 1, 1]
    table = np.concatenate([table, mirrored])
    return table[:, :2], table[:, 2:]


def _nose(p: FaceParameters) -> list[tuple[float, ...]]:
    down, wide, up = 0.05 * p.nose_length, 1 + 0.18 * p.nose_width, 0.05 * p.nose_wrinkle
    return [
        (0.0, 0.08, 0.075, 0.065, 0.0, 0.0),
        (0.0, 0.22 + 0.5 * down, 0.08, 0.08, 0.0, 0.04),
        (0.0, 0.38 + down - up, 0.105, 0.16, 0.0, 0.16),
        (0.14 * wide, 0.43 + down - up, 0.065, 0.05, 0.0, 0.1),
        (0.14 * wide, 0.15, 0.08, -0.02, 0.07, 0.0),
        (0.22 * wide, 0.44 + down - up, 0.06, -0.015, 0.16, 0.05),
        (0.0, 0.56 + down - up, 0.08, -0.02, 0.2, 0.0),
        (0.1, 0.54 + down - up, 0.06, 0.0, 0.12, 0.0),
    ]


def _mouth(p: FaceParameters) -> list[tuple[float, ...]]:
    low = 0.36 * p.jaw_drop + 0.08 * p.lips_part
    x, y = anatomy.mouth_corner(p)
    return [
        (0.09, 0.72 - 0.04 * p.upper_lip_raise, 0.07, 0.03, 0.0, 0.0),
        (0.14, 0.9 + low, 0.1, 0.06, 0.0, 0.0),
        (0.0, 0.91 + low, 0.08, 0.03, 0.0, 0.0),
        (0.0, 1.05 + low, 0.11, -0.04, 0.16 + 0.08 * p.chin_raise, 0.0),
        (0.16, 1.04 + low, 0.09, -0.02, 0.08, 0.0),
        (0.0, 1.2 + 0.2 * p.jaw_drop - 0.04 * p.chin_raise, 0.17, 0.1 + 0.04 * p.chin_raise, 0.0, 0.04),
        (0.09, 1.17 + 0.2 * p.jaw_drop, 0.05, 0.0, 0.16 * p.chin_raise, 0.0),
        (x + 0.05, y + 0.02, 0.06, -0.02, 0.16, 0.0),
        (x + 0.03, y + 0.12, 0.07, 0.0, 0.16 * p.lip_corner_depress, 0.0),
    ]


def _cheek(p: FaceParameters) -> list[tuple[float, ...]]:
    lifted = max(p.cheek_raise, 0.7 * p.lip_corner_pull)
    return [
        (0.56, 0.42 - 0.06 * lifted, 0.23, 0.09 + 0.05 * lifted, 0.0, 0.2 + 0.1 * lifted),
        (0.44, 0.2, 0.07, -0.01, 0.04 + 0.07 * lifted + 0.08 * p.age, 0.0),
        (0.34, 0.19, 0.06, 0.0, 0.05 * lifted + 0.08 * p.age + 0.08 * p.lid_tighten, 0.0),
        (0.77, -0.04, 0.04, 0.0, 0.16 * p.cheek_raise * (0.5 + p.age), 0.0),
        (0.78, 0.06, 0.04, 0.0, 0.16 * p.cheek_raise * (0.5 + p.age), 0.0),
    ]


def _folds(p: FaceParameters) -> list[tuple[float, ...]]:
    """Return the nasolabial folds: grooves along `anatomy.fold`."""
    pulled = max(p.lip_corner_pull, 0.9 * p.nose_wrinkle, p.upper_lip_raise, 0.6 * p.lip_stretch)
    depth = 0.15 + 0.3 * p.age + 0.6 * pulled
    line = anatomy.fold(p)
    line = np.concatenate([line, (line[:-1] + line[1:]) / 2])
    groove = [(x, y, 0.05, -0.02 * depth, 0.14 * depth, 0.0) for x, y in line]
    return groove + [(x + 0.09, y, 0.08, 0.025 * depth, 0.0, 0.0) for x, y in line]


def _frown(p: FaceParameters) -> list[tuple[float, ...]]:
    """Return the swelling and the shadow between contracted brows."""
    frown = max(p.brow_lower, 0.7 * p.nose_wrinkle)
    return [
        (0.1, -0.3, 0.07, -0.02 * frown, 0.16 * frown, 0.0),
        (0.13, -0.44, 0.08, 0.025 * frown, 0.06 * frown, 0.0),
        (0.09, -0.02, 0.07, -0.01 * p.nose_wrinkle, 0.14 * p.nose_wrinkle, 0.0),
    ]
