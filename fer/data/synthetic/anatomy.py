"""Control points of the parts of a face and of the hair, and how muscle actions move them.

Units are half face widths: the face spans x from -1 to 1, the eye line is y = 0, y points down.
Functions return the right half of the image (x > 0), for the parameters of `half_face`.
"""

from dataclasses import replace

import numpy as np

from fer.data.synthetic.parameters import FaceParameters

# Muscle actions of each side of the face.
_PAIRED = (
    "inner_brow_raise", "outer_brow_raise", "brow_lower", "upper_lid_raise", "cheek_raise", "lid_tighten",
    "nose_wrinkle", "upper_lip_raise", "lip_corner_pull", "lip_corner_depress", "lip_stretch", "lid_droop",
)  # fmt: skip
_BROW = np.array([(0.15, -0.35), (0.29, -0.405), (0.45, -0.43), (0.61, -0.405), (0.76, -0.32)])
# At each of the brow's five control points: how far it follows a muscle action, and the brow's width.
_INNER_RAISE, _OUTER_RAISE = np.array([(1, 0.8, 0.4, 0.1, 0), (0.05, 0.2, 0.65, 1, 0.8)])
_LOWER, _TOGETHER = np.array([(1, 0.85, 0.55, 0.2, 0), (1, 0.8, 0.5, 0.2, 0)])
_BROW_WIDTH = np.array([0.045, 0.062, 0.056, 0.042, 0.012])
# Right half of the head's silhouette, from the crown to the chin.
_HEAD_OUTLINE = np.array([
    (0, -1.5), (0.45, -1.42), (0.82, -1.12), (0.99, -0.65), (1.01, -0.15), (0.985, 0.3), (0.9, 0.7),
    (0.7, 1.05), (0.38, 1.29), (0, 1.37),
])  # fmt: skip
_HEAD_DEPTH = np.array([0.08, 0.08, 0.08, 0.08, 0.1, 0.16, 0.28, 0.42, 0.52, 0.55])
_EYE_CENTER = np.array([0.42, 0.0])
_WING = np.array([(0.1, 0.33), (0.165, 0.4), (0.175, 0.47), (0.13, 0.505)])
_NOSTRIL = np.array([(0.045, 0.5), (0.085, 0.475), (0.125, 0.49), (0.09, 0.51)])
_FOREHEAD = [
    np.array([(0, y), (0.2, y + 0.01), (0.38, y + 0.04), (0.5, y + 0.09)]) for y in (-0.62, -0.75, -0.87)
]
_FROWN = np.array([(0.085, -0.28), (0.06, -0.37), (0.07, -0.47)])
_SCRUNCH = np.array([(0.02, -0.1), (0.1, -0.06), (0.17, 0.04)])
EAR = np.array([
    (0.94, -0.2, -0.08), (1.08, -0.25, -0.08), (1.13, -0.08, -0.08), (1.08, 0.2, -0.08), (0.99, 0.38, -0.08),
    (0.9, 0.3, -0.08),
])  # fmt: skip
# Right halves of torso and neck, from top to bottom.
BODY = {
    "torso": np.array([(0.45, 1.72), (1.0, 1.88), (1.5, 2.08), (1.85, 2.5), (2.0, 4.0)]),
    "neck": np.array([(0.5, 0.6), (0.52, 1.2), (0.56, 1.6), (0.62, 1.8), (0.35, 2.0)]),
}
_CIRCLE = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_LENS = np.column_stack([0.43 + 0.29 * np.cos(_CIRCLE), 0.03 + 0.23 * np.sin(_CIRCLE)])
BEARD = np.array([
    (-1.1, 0.1), (-0.92, 0.32), (-0.72, 0.6), (-0.42, 0.62), (-0.2, 0.57), (0, 0.6), (0.2, 0.57),
    (0.42, 0.62), (0.72, 0.6), (0.92, 0.32), (1.1, 0.1), (1.2, 1.9), (-1.2, 1.9),
])  # fmt: skip
# Thickness of the hair on the scalp, and how much of it there is from the crown down.
_HAIR_VOLUME = {"short": 0.16, "parted": 0.14, "fringe": 0.13, "long": 0.14, "bun": 0.06, "curly": 0.2}
_HAIR_GROWTH = np.array([1, 1, 1, 0.85, 0.45, 0.1])
# Right half of the hairline, from the middle of the forehead to the ear.
_HAIRLINES = {
    "short": [(0, -0.9), (0.36, -0.98), (0.68, -0.84), (0.84, -0.5), (0.95, -0.08)],
    "fringe": [(0, -0.66), (0.32, -0.6), (0.6, -0.64), (0.83, -0.48), (0.92, -0.15), (0.98, 0.2)],
    "long": [(0, -1.0), (0.3, -0.93), (0.6, -0.74), (0.82, -0.42), (0.9, 0.0), (0.99, 0.45)],
    "bun": [(0, -1.02), (0.35, -0.98), (0.68, -0.8), (0.88, -0.5), (0.97, -0.15)],
    "curly": [(0, -0.9), (0.3, -0.92), (0.6, -0.8), (0.82, -0.55), (0.88, -0.2), (0.97, 0.15)],
}
# A parting is off center, so this hairline is not symmetric: from left to right.
_PARTED_HAIRLINE = [
    (-0.95, -0.1), (-0.88, -0.5), (-0.72, -0.82), (-0.45, -1.08), (-0.1, -0.9), (0.32, -0.73), (0.7, -0.63),
    (0.88, -0.42), (0.95, -0.08),
]  # fmt: skip
# Right half of the outline of long hair behind the head.
_LONG_HAIR = [
    (0, -1.62), (0.6, -1.5), (1.08, -1.1), (1.24, -0.4), (1.27, 0.4), (1.3, 1.1), (1.22, 1.8), (0.7, 1.95),
    (0, 1.9),
]  # fmt: skip


def half_face(p: FaceParameters, side: int) -> FaceParameters:
    """Return the parameters of one side; the weaker side of an asymmetric face has weaker muscle actions."""
    weaker = 1 - 0.4 * max(0.0, -side * p.asymmetry)
    if weaker == 1:
        return p
    return replace(p, **{name: weaker * getattr(p, name) for name in _PAIRED})


def front_half(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return the parts of one side on the front of the head, except iris and mouth, (N, 2) each."""
    spread = np.array([0.03 * p.eye_spacing, 0])
    upper, lower = (margin + spread for margin in _eye(p))
    stretch = np.array([1 + 0.18 * p.nose_width + 0.1 * p.nose_wrinkle + 0.06 * p.lip_corner_pull, 1])
    drop = np.array([0, 0.05 * p.nose_length - 0.05 * p.nose_wrinkle])
    return {
        "brow": _brow(p),
        "lid": upper,
        "lower_lid": lower,
        "crease": upper * np.array([1, 0.85]) + np.array([0, -0.045]),
        "eye_center": np.array([[0.42, -0.01]]) + spread,
        "lens": _LENS + spread,
        "frown": _FROWN - [0, 0.06 * p.inner_brow_raise],
        "scrunch": _SCRUNCH,
        **{f"forehead{row}": line for row, line in enumerate(_FOREHEAD)},
        "wing": _WING * stretch + drop,
        "nostril": _NOSTRIL * stretch + drop,
    }


def _brow(p: FaceParameters) -> np.ndarray:
    """Return the outline (10, 2) of a brow."""
    # A raised inner brow counteracts the frown, which then only pulls it inwards (sadness: AU1+4).
    lower = p.brow_lower * (1 - 0.75 * p.inner_brow_raise) + 0.35 * p.nose_wrinkle
    line = _BROW.copy()
    line[:, 1] += -0.2 * p.inner_brow_raise * _INNER_RAISE - 0.17 * p.outer_brow_raise * _OUTER_RAISE
    line[:, 1] += 0.17 * lower * _LOWER - 0.05 * p.brow_height
    line[:, 0] -= 0.06 * (p.brow_lower + 0.3 * p.nose_wrinkle) * _TOGETHER
    # The frown also lifts the tail slightly, which slants the brow.
    line[-2:, 1] -= 0.05 * lower
    # In sadness the tail sinks.
    sink = 0.06 * p.inner_brow_raise * max(0.0, 1 - 1.5 * p.outer_brow_raise)
    line[2:, 1] += sink * np.array([0.2, 0.7, 1])
    width = np.column_stack([np.zeros(5), _BROW_WIDTH * (1 + 0.4 * p.brow_thickness)])
    return np.concatenate([line - width, (line + width)[::-1]])


def _eye(p: FaceParameters) -> list[np.ndarray]:
    """Return the upper and the lower lid margin, each (5, 2) from the inner to the outer corner."""
    raised, shut = p.upper_lid_raise, min(1.0, p.lid_droop)
    squint = 0.55 * p.lid_tighten + 0.3 * p.cheek_raise + 0.25 * p.nose_wrinkle
    top = (-0.135 - 0.075 * raised + 0.045 * squint) * (1 - 0.92 * shut) + 0.06 * shut
    bottom = 0.088 + 0.015 * raised - 0.075 * p.cheek_raise - 0.045 * p.lid_tighten - 0.035 * p.nose_wrinkle
    bottom = bottom * (1 - shut) + 0.07 * shut
    frown = p.brow_lower * (1 - 0.8 * p.inner_brow_raise)
    sadness = p.inner_brow_raise * (1 - 0.7 * p.outer_brow_raise)
    inner, outer = (0.2, 0.02), (0.645, -0.015 + 0.03 * sadness)
    upper = [
        inner,
        (0.285, 0.62 * top + 0.05 * frown - 0.02 * sadness),
        (0.41, top + 0.015 * frown),
        (0.545, 0.74 * top + 0.035 * sadness - 0.01 * frown),
        outer,
    ]
    lower = [inner, (0.3, 0.6 * bottom), (0.42, bottom), (0.55, 0.75 * bottom), outer]
    size = 1.12 + 0.13 * p.eye_size
    return [_EYE_CENTER + (np.array(margin) - _EYE_CENTER) * size for margin in (upper, lower)]


def mouth_corner(p: FaceParameters) -> tuple[float, float]:
    """Return the position (x, y) of the right mouth corner."""
    smile, sad, wide, jaw = p.lip_corner_pull, p.lip_corner_depress, p.lip_stretch, p.jaw_drop
    x = 0.385 + 0.05 * p.mouth_width + 0.13 * smile - 0.02 * sad + 0.12 * wide - 0.08 * p.lip_tighten
    return x - 0.15 * jaw * (1 - wide), 0.806 - 0.13 * smile + 0.11 * sad + 0.08 * wide + 0.17 * jaw


def mouth(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return half of the lips: ``outer_upper``, ``inner_upper``, ``inner_lower``, ``outer_lower``, (n, 2).

    Upper curves run from the middle to the corner, lower ones from the corner to the middle.
    """
    smile, wide, jaw, lift = p.lip_corner_pull, p.lip_stretch, p.jaw_drop, p.upper_lip_raise
    middle = 0.82 + 0.02 * (smile + wide) - 0.05 * (p.chin_raise + p.lip_corner_depress) - 0.03 * lift
    part = 0.075 * p.lips_part * (1 + 0.8 * smile + 0.7 * wide + 0.8 * lift)
    sneer = 0.075 * lift + 0.06 * p.nose_wrinkle
    top, bottom = middle - 0.35 * part - 0.03 * jaw, middle + 0.65 * part + 0.4 * jaw
    full = (1 + 0.3 * p.lip_fullness) * (1 - 0.65 * p.lip_tighten) * (1 - 0.25 * max(smile, wide))
    x, y = mouth_corner(p)
    # An open or stretched mouth is closer to a rectangle than to an almond.
    side = 0.3 * max(wide, 0.6 * jaw)
    # The opening at the middle, and at 0.3 and 0.74 of the distance to the corner.
    near, far = 0.3 * x, 0.74 * x
    upper = (
        top - 0.25 * sneer,
        y + 0.95 * (top - y) - 0.45 * sneer,
        y + (0.5 + side) * (top - y) - 0.15 * sneer,
    )
    lower = (
        bottom - 0.25 * sneer,
        y + 0.94 * (bottom - y) - 0.3 * sneer,
        y + (0.55 + side) * (bottom - y) - 0.1 * sneer,
    )
    dip = upper[0] - 0.085 * full - 0.4 * sneer
    bow = upper[1] - 0.105 * full - 0.75 * sneer
    peak = (dip + bow) / 2 - 0.025 * full
    edge = upper[2] - 0.06 * full - 0.35 * sneer
    pout = np.array([0.05, 0.04, 0.02]) * p.chin_raise
    under = np.array(lower) + np.array([0.125, 0.118, 0.065]) * full + pout
    curves = {
        "outer_upper": [(0, dip), (near, peak), (0.45 * x, bow), (far, edge), (x, y)],
        "inner_upper": [(0, upper[0]), (near, upper[1]), (far, upper[2]), (x, y)],
        "inner_lower": [(x, y), (far, lower[2]), (near, lower[1]), (0, lower[0])],
        "outer_lower": [(x, y), (far, under[2]), (near, under[1]), (0, under[0])],
    }
    return {name: np.array(points) for name, points in curves.items()}


def head_outline(p: FaceParameters) -> np.ndarray:
    """Return the right half of the head's silhouette, (10, 3) from the crown to the chin."""
    line = _HEAD_OUTLINE.copy()
    below = np.clip((line[:, 1] + 0.1) / 1.4, 0, 1)
    line[:, 0] *= 1 + 0.07 * p.jaw_width * np.sin(np.pi * below) + 0.1 * p.jaw_width * (below > 0.7)
    line[:, 0] += 0.03 * p.lip_corner_pull * np.sin(np.pi * below)
    line[:, 1] += (0.2 * p.jaw_drop - 0.03 * p.chin_raise) * below**2
    return np.column_stack([line, _HEAD_DEPTH])


def nose_tip(p: FaceParameters) -> np.ndarray:
    """Return the position of the nose tip, (1, 2)."""
    return np.array([(0, 0.4 + 0.05 * p.nose_length - 0.02 * p.nose_wrinkle)])


def fold(p: FaceParameters) -> np.ndarray:
    """Return the nasolabial fold (4, 2), from the wing of the nose to the side of the mouth."""
    smile, jaw = p.lip_corner_pull, np.array([0, 0, 0.3, 1])
    line = np.array([(0.2, 0.4), (0.33, 0.53), (0.42, 0.68), (0.46, 0.86)])
    line[:, 0] += smile * np.array([0.02, 0.06, 0.1, 0.1]) + 0.05 * p.lip_stretch * np.array([0, 0.5, 1, 1])
    line[:, 1] += -0.05 * p.nose_wrinkle - 0.05 * smile * np.array([0, 0.2, 0.6, 1]) + 0.1 * p.jaw_drop * jaw
    return line


def hair_outlines(p: FaceParameters, half_head: np.ndarray) -> dict[str, np.ndarray]:
    """Return control points of ``scalp`` and ``hairline``, from left to right, and of the closed ``back``.

    Empty for a bald head; ``back`` only for the styles that are visible behind the head.
    """
    if p.hair_style == "bald":
        return {}
    is_parted = p.hair_style == "parted"
    hairline = _at_depth(_PARTED_HAIRLINE if is_parted else _HAIRLINES[p.hair_style], 0)
    hairline = hairline if is_parted else _mirrored(hairline)
    # The middle of the forehead is in front of the silhouette, so turning the head moves it further.
    hairline[:, 2] = 0.62 * np.sqrt(np.clip(1 - np.abs(hairline[:, 0]), 0, 1))
    scalp = half_head[: (len(hairline) + 1) // 2].copy()
    growth = _HAIR_VOLUME[p.hair_style] * _HAIR_GROWTH[: len(scalp)]
    away = scalp[:, :2] - [0, -0.3]
    scalp[:, :2] += growth[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)
    parts = {"scalp": _mirrored(scalp), "hairline": hairline}
    if p.hair_style == "long":
        parts["back"] = closed_outline(_at_depth(_LONG_HAIR, -0.2))
    if p.hair_style == "bun":
        bun = np.column_stack([0.42 * np.cos(_CIRCLE), -1.68 + 0.36 * np.sin(_CIRCLE)])
        parts["back"] = _at_depth(bun, -0.3)
    return parts


def closed_outline(half: np.ndarray) -> np.ndarray:
    """Return a closed outline (M, 3), given its right half (N, 3), which starts and ends in the middle."""
    return np.concatenate([half, half[-2:0:-1] * [-1, 1, 1]])


def _mirrored(half: np.ndarray) -> np.ndarray:
    """Return a symmetric curve from left to right, given its right half, which starts in the middle."""
    return np.concatenate([half[:0:-1] * [-1, 1, 1], half])


def _at_depth(points: list[tuple[float, float]] | np.ndarray, depth: float) -> np.ndarray:
    """Return points (N, 3) at the same depth."""
    return np.column_stack([points, np.full(len(points), depth)])
