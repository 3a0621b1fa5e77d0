"""Control points of the hair styles: the hair behind the head, and that between scalp and hairline.

Units as in `anatomy`: half face widths, y down from the eye line.
"""

import numpy as np

from fer.data.synthetic.parameters import FaceParameters

_VOLUME = {"short": 0.16, "parted": 0.14, "fringe": 0.13, "long": 0.14, "bun": 0.06, "curly": 0.2}
# Right half of the hairline, from the middle of the forehead to the ear.
_HAIRLINE = {
    "short": [(0, -0.9), (0.36, -0.98), (0.68, -0.84), (0.84, -0.5), (0.95, -0.08)],
    "fringe": [(0, -0.66), (0.32, -0.6), (0.6, -0.64), (0.83, -0.48), (0.92, -0.15), (0.98, 0.2)],
    "long": [(0, -1.0), (0.3, -0.93), (0.6, -0.74), (0.82, -0.42), (0.9, 0.0), (0.99, 0.45)],
    "bun": [(0, -1.02), (0.35, -0.98), (0.68, -0.8), (0.88, -0.5), (0.97, -0.15)],
    "curly": [(0, -0.9), (0.3, -0.92), (0.6, -0.8), (0.82, -0.55), (0.88, -0.2), (0.97, 0.15)],
}
# A parting is off center, so this hairline is not symmetric: from left to right.
_PARTED = [
    (-0.95, -0.1), (-0.88, -0.5), (-0.72, -0.82), (-0.45, -1.08), (-0.1, -0.9), (0.32, -0.73), (0.7, -0.63),
    (0.88, -0.42), (0.95, -0.08),
]  # fmt: skip
_LONG = [
    (0, -1.62),
    (0.6, -1.5),
    (1.08, -1.1),
    (1.24, -0.4),
    (1.27, 0.4),
    (1.3, 1.1),
    (1.22, 1.8),
    (0.7, 1.95),
    (0, 1.9),
]


def _flat(points: list[tuple[float, float]], depth: float) -> np.ndarray:
    flat = np.array(points)
    return np.column_stack([flat, np.full(len(flat), depth)])


def _across(half: np.ndarray) -> np.ndarray:
    """Return the curve from left to right for the right half, which starts in the middle."""
    return np.concatenate([half[:0:-1] * [-1, 1, 1], half])


def _hairline(style: str) -> np.ndarray:
    line = _flat(_PARTED, 0) if style == "parted" else _across(_flat(_HAIRLINE[style], 0))
    # The middle of the forehead is in front of the silhouette, so turning the head moves it further.
    line[:, 2] = 0.62 * np.sqrt(np.clip(1 - np.abs(line[:, 0]) / 1.0, 0, 1))
    return line


def hair_outlines(p: FaceParameters, half_head: np.ndarray) -> dict[str, np.ndarray]:
    """Return control points of ``scalp`` and ``hairline``, from left to right, and of the closed ``back``.

    Empty for a bald head; ``back`` only for the styles that are visible behind the head.
    """
    if p.hair_style == "bald":
        return {}
    hairline = _hairline(p.hair_style)
    scalp = half_head[: (len(hairline) + 1) // 2].copy()
    growth = _VOLUME[p.hair_style] * np.array([1, 1, 1, 0.85, 0.45, 0.1])[: len(scalp)]
    middle = np.array([0, -0.3])
    away = scalp[:, :2] - middle
    scalp[:, :2] += growth[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)
    parts = {"scalp": _across(scalp), "hairline": hairline}
    if p.hair_style == "long":
        half = _flat(_LONG, -0.2)
        parts["back"] = np.concatenate([half, half[-2:0:-1] * [-1, 1, 1]])
    if p.hair_style == "bun":
        angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        parts["back"] = np.column_stack(
            [0.42 * np.cos(angle), -1.68 + 0.36 * np.sin(angle), np.full(12, -0.3)]
        )
    return parts
