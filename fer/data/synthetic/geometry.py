"""The geometry of a face in the image: curves projected from a 3D head, and bumps for its lighting.

Control points come from `fer.data.synthetic.anatomy`. The bumps are a relief of Gaussians on the head's
surface: nose, cheeks, eye sockets and folds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer.data.synthetic import anatomy
from fer.data.synthetic.parameters import FaceParameters

# Half a face width at scale 1, as a fraction of the image's side.
UNIT = 0.295
SIDES = ((-1, "left"), (1, "right"))
# Points of a curve per control point.
_SAMPLES = 6
# Distance of the camera from the head in half face widths: a mild perspective.
_DISTANCE = 9.0
# Curves of one point that are the landmarks, in the order of MTCNN, ArcFace and YuNet.
_LANDMARKS = ("eye_center_left", "eye_center_right", "tip", "corner_left", "corner_right")
# Parts that are separate points, and parts that are closed curves; all others are open curves.
_POINTWISE = {"bumps", "tip", "iris", "eye_center", "corner"}
_CLOSED = {"brow", "nostril", "lens", "beard", "head", "ear", "back"}
# Height of protruding parts above the head's surface.
_LIFT = {"bumps": 0.05, "wing": 0.1, "nostril": 0.18, "tip": 0.32, "lens": 0.1, "corner": 0.06}
_LIFT |= dict.fromkeys(("outer_upper", "inner_upper", "inner_lower", "outer_lower"), 0.06)


@dataclass(frozen=True)
class FaceGeometry:
    """The geometry of a face in the image, in pixels; pixel centers are at integers.

    Attributes:
        curves: Points of each curve, float (N, 2), by name.
        bumps: Radius, height, darkness and redness (N, 4) at each point of the curve ``bumps``.
        landmarks: Left eye, right eye, nose tip, left and right mouth corner, float (5, 2).
        unit: Half a face width.
        center: Center of the head, float (2,).
    """

    curves: dict[str, np.ndarray]
    bumps: np.ndarray
    landmarks: np.ndarray
    unit: float
    center: np.ndarray


def locate_face(p: FaceParameters, size: int) -> FaceGeometry:
    """Return the geometry of a face in an image of ``size`` pixels per side."""
    bumps = _relief_bumps(p)
    front, silhouette = {"bumps": bumps[:, :2], **_front_parts(p)}, _silhouette_parts(p)
    parts = front | silhouette
    lengths = [len(points) for points in parts.values()]
    lift = np.repeat([_LIFT.get(_base_name(name), 0.0) for name in front], lengths[: len(front)])
    points = np.concatenate([_on_surface(np.concatenate([*front.values()]), lift), *silhouette.values()])
    unit = UNIT * size * p.scale
    center = (size - 1) / 2 + size * np.array([p.shift_x, 0.03 + p.shift_y])
    pixels = np.split(_project(p, points) * unit + center, np.cumsum(lengths[:-1]))
    curves = {name: _smooth_part(name, part) for name, part in zip(parts, pixels, strict=True)}
    curves |= {
        "upper_lip": np.concatenate([curves["outer_upper"], curves["inner_upper"][::-1]]),
        "lower_lip": np.concatenate([curves["outer_lower"], curves["inner_lower"][::-1]]),
        "opening": np.concatenate([curves["inner_upper"], curves["inner_lower"]]),
        **_body_curves(p, unit, center),
    }
    landmarks = np.concatenate([curves[name] for name in _LANDMARKS])
    return FaceGeometry(curves, bumps[:, 2:], landmarks, unit, center)


def _base_name(name: str) -> str:
    return name.removesuffix("_left").removesuffix("_right")


def _smooth_part(name: str, controls: np.ndarray) -> np.ndarray:
    base = _base_name(name)
    return controls if base in _POINTWISE else _spline_weights(len(controls), base in _CLOSED) @ controls


@lru_cache(maxsize=64)
def _spline_weights(num_controls: int, closed: bool) -> np.ndarray:
    """Return the weights (samples, controls) of a Catmull-Rom spline through its control points."""
    segments = num_controls if closed else num_controls - 1
    t = np.linspace(0, segments, segments * _SAMPLES + (not closed), endpoint=not closed)
    start = np.minimum(t.astype(int), segments - 1)
    f = t - start
    parts = (-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2)
    weights = np.zeros((len(t), num_controls))
    for offset, part in zip((-1, 0, 1, 2), parts, strict=True):
        control = start + offset
        control = control % num_controls if closed else np.clip(control, 0, num_controls - 1)
        np.add.at(weights, (np.arange(len(t)), control), part / 2)
    return weights


def _on_surface(flat: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Return points (N, 2) projected onto the head's front and lifted towards the viewer, (N, 3)."""
    inside = 1 - (flat[:, 0] / 1.12) ** 2 - ((flat[:, 1] + 0.05) / 1.6) ** 2
    return np.column_stack([flat, 0.85 * np.sqrt(np.maximum(inside, 0)) + lift])


def _project(p: FaceParameters, points: np.ndarray) -> np.ndarray:
    proportions = np.array([1 + 0.08 * p.face_width, 1 + 0.06 * p.face_length, 1])
    (cy, cx, cz), (sy, sx, sz) = (f(np.radians([p.yaw, p.pitch, p.roll])) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    tilt = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned = (points * proportions) @ (tilt @ nod @ turn).T
    return turned[:, :2] * ((_DISTANCE - 0.5) / (_DISTANCE - turned[:, 2:]))


def _front_parts(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return the parts on the front of the head, (N, 2) each."""
    parts = {"tip": anatomy.nose_tip(p), "beard": anatomy.BEARD}
    mouths = []
    for side, name in SIDES:
        half, mirror = anatomy.half_face(p, side), np.array([side, 1.0])
        parts |= {f"{part}_{name}": points * mirror for part, points in anatomy.front_half(half).items()}
        # The iris follows the gaze.
        x = side * (0.42 + 0.03 * p.eye_spacing) + 0.09 * p.gaze_x
        parts[f"iris_{name}"] = np.array([[x, -0.025 + 0.05 * p.gaze_y]])
        mouths.append({part: points * mirror for part, points in anatomy.mouth(half).items()})
        parts[f"corner_{name}"] = mouths[-1]["outer_lower"][:1]
    return parts | _across_mouth(*mouths)


def _across_mouth(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the control points of the lips, upper curves from left to right and lower ones back."""
    across = {}
    for name in left:
        ends = (left[name][::-1], right[name]) if "upper" in name else (right[name], left[name][::-1])
        # The halves of an asymmetric face end at different heights in the middle, so they are averaged.
        middle = (ends[0][-1:] + ends[1][:1]) / 2
        across[name] = np.concatenate([ends[0][:-1], middle, ends[1][1:]])
    return across


def _silhouette_parts(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return the parts on the silhouette, (N, 3) each; turning the head shifts but does not narrow them."""
    half = anatomy.head_outline(p)
    parts = {"head": anatomy.closed_outline(half), **anatomy.hair_outlines(p, half)}
    parts |= {f"ear_{name}": anatomy.EAR * [side, 1, 1] for side, name in SIDES}
    widen = np.array([1 / np.cos(np.radians(p.yaw)), 1 / np.cos(np.radians(p.pitch)), 1])
    return {name: points * widen for name, points in parts.items()}


def _body_curves(p: FaceParameters, unit: float, center: np.ndarray) -> dict[str, np.ndarray]:
    """Return neck and shoulders in pixels; they tilt less than the head and do not turn."""
    angle = np.radians(0.4 * p.roll)
    tilt = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = np.array([0.25 * np.sin(np.radians(p.yaw)), 0])
    controls = {name: np.concatenate([half, half[::-1] * [-1, 1]]) for name, half in anatomy.BODY.items()}
    return {
        name: _smooth_part(name, points + lean) @ tilt.T * unit + center for name, points in controls.items()
    }


def _relief_bumps(p: FaceParameters) -> np.ndarray:
    """Return the bumps (N, 6): x, y, radius, height, darkness, redness; lengths in half face widths."""
    down, wide, up = 0.05 * p.nose_length, 1 + 0.18 * p.nose_width, 0.05 * p.nose_wrinkle
    x, y = anatomy.mouth_corner(p)
    low = 0.36 * p.jaw_drop + 0.08 * p.lips_part
    lifted = max(p.cheek_raise, 0.7 * p.lip_corner_pull)
    frown = max(p.brow_lower, 0.7 * p.nose_wrinkle)
    pulled = max(p.lip_corner_pull, 0.9 * p.nose_wrinkle, p.upper_lip_raise, 0.6 * p.lip_stretch)
    depth = 0.15 + 0.3 * p.age + 0.6 * pulled
    fold = anatomy.fold(p)
    fold = np.concatenate([fold, (fold[:-1] + fold[1:]) / 2])
    table = np.array([
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
        (0.0, 0.08, 0.075, 0.065, 0.0, 0.0),  # nose
        (0.0, 0.22 + 0.5 * down, 0.08, 0.08, 0.0, 0.04),
        (0.0, 0.38 + down - up, 0.105, 0.16, 0.0, 0.16),
        (0.14 * wide, 0.43 + down - up, 0.065, 0.05, 0.0, 0.1),
        (0.14 * wide, 0.15, 0.08, -0.02, 0.07, 0.0),
        (0.22 * wide, 0.44 + down - up, 0.06, -0.015, 0.16, 0.05),
        (0.0, 0.56 + down - up, 0.08, -0.02, 0.2, 0.0),
        (0.1, 0.54 + down - up, 0.06, 0.0, 0.12, 0.0),
        (0.09, 0.72 - 0.04 * p.upper_lip_raise, 0.07, 0.03, 0.0, 0.0),  # mouth and chin
        (0.14, 0.9 + low, 0.1, 0.06, 0.0, 0.0),
        (0.0, 0.91 + low, 0.08, 0.03, 0.0, 0.0),
        (0.0, 1.05 + low, 0.11, -0.04, 0.16 + 0.08 * p.chin_raise, 0.0),
        (0.16, 1.04 + low, 0.09, -0.02, 0.08, 0.0),
        (0.0, 1.2 + 0.2 * p.jaw_drop - 0.04 * p.chin_raise, 0.17, 0.1 + 0.04 * p.chin_raise, 0.0, 0.04),
        (0.09, 1.17 + 0.2 * p.jaw_drop, 0.05, 0.0, 0.16 * p.chin_raise, 0.0),
        (x + 0.05, y + 0.02, 0.06, -0.02, 0.16, 0.0),
        (x + 0.03, y + 0.12, 0.07, 0.0, 0.16 * p.lip_corner_depress, 0.0),
        (0.56, 0.42 - 0.06 * lifted, 0.23, 0.09 + 0.05 * lifted, 0.0, 0.2 + 0.1 * lifted),  # cheek
        (0.44, 0.2, 0.07, -0.01, 0.04 + 0.07 * lifted + 0.08 * p.age, 0.0),
        (0.34, 0.19, 0.06, 0.0, 0.05 * lifted + 0.08 * p.age + 0.08 * p.lid_tighten, 0.0),
        (0.77, -0.04, 0.04, 0.0, 0.16 * p.cheek_raise * (0.5 + p.age), 0.0),
        (0.78, 0.06, 0.04, 0.0, 0.16 * p.cheek_raise * (0.5 + p.age), 0.0),
        *((x, y, 0.05, -0.02 * depth, 0.14 * depth, 0.0) for x, y in fold),  # groove of the nasolabial fold
        *((x + 0.09, y, 0.08, 0.025 * depth, 0.0, 0.0) for x, y in fold),
        (0.1, -0.3, 0.07, -0.02 * frown, 0.16 * frown, 0.0),  # between contracted brows
        (0.13, -0.44, 0.08, 0.025 * frown, 0.06 * frown, 0.0),
        (0.09, -0.02, 0.07, -0.01 * p.nose_wrinkle, 0.14 * p.nose_wrinkle, 0.0),
    ])  # fmt: skip
    # Bumps beside the middle are on both sides.
    return np.concatenate([table, table[table[:, 0] != 0] * [-1, 1, 1, 1, 1, 1]])
