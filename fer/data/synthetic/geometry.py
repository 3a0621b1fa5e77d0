"""Project the control points of a 3D head to curves in the image."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer.data.synthetic import anatomy, hair
from fer.data.synthetic.parameters import FaceParameters
from fer.data.synthetic.relief import relief_bumps

# Half a face width at scale 1, as a fraction of the image's side.
UNIT = 0.295
# Points per control point.
_SAMPLES = 6
# Distance of the camera from the head in half face widths: a mild perspective.
_DISTANCE = 9.0
SIDES = ((-1, "left"), (1, "right"))
_LANDMARKS = ("eye_center_left", "eye_center_right", "tip", "corner_left", "corner_right")
_POINTWISE = {"bumps", "tip", "iris", "eye_center", "corner"}
_CLOSED = {"brow", "nostril", "lens", "beard", "head", "ear", "back"}
# Height of protruding parts above the head's surface.
_LIFT = {"bumps": 0.05, "wing": 0.1, "nostril": 0.18, "tip": 0.32, "lens": 0.1, "corner": 0.06}
_LIFT |= dict.fromkeys(("outer_upper", "inner_upper", "inner_lower", "outer_lower"), 0.06)


@dataclass(frozen=True)
class FaceGeometry:
    """The geometry of a face in the image, in pixels; pixel centers are at whole numbers.

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


@lru_cache(maxsize=64)
def _spline_weights(num_controls: int, closed: bool) -> np.ndarray:
    """Return the weights (samples, controls) of a Catmull-Rom spline through its control points."""
    segments = num_controls if closed else num_controls - 1
    t = np.linspace(0, segments, segments * _SAMPLES + (not closed), endpoint=not closed)
    start = np.minimum(t.astype(int), segments - 1)
    f = t - start
    cubic = (
        np.stack([-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2]) / 2
    )
    weights = np.zeros((len(t), num_controls))
    for offset, part in zip((-1, 0, 1, 2), cubic, strict=True):
        control = start + offset
        control = control % num_controls if closed else np.clip(control, 0, num_controls - 1)
        np.add.at(weights, (np.arange(len(t)), control), part)
    return weights


def smooth_curve(controls: np.ndarray, closed: bool = False) -> np.ndarray:
    """Return the points (M, D) of a smooth curve through ``controls`` (N, D)."""
    return _spline_weights(len(controls), closed) @ controls


def locate_face(p: FaceParameters, size: int) -> FaceGeometry:
    """Return the geometry of a face in an image of ``size`` pixels per side."""
    bump_centers, bumps = relief_bumps(p)
    front, rim = _front(p), _rim(p)
    flat = np.concatenate([bump_centers, *front.values()])
    lift = np.repeat([_LIFT["bumps"], *map(_lift, front)], [len(bump_centers), *map(len, front.values())])
    unit = UNIT * size * p.scale
    center = (size - 1) / 2 + size * np.array([p.shift_x, 0.03 + p.shift_y])
    pixels = _project(p, np.concatenate([_on_surface(flat, lift), *rim.values()])) * unit + center
    curves, start = {}, 0
    for name, points in ({"bumps": bump_centers} | front | rim).items():
        curves[name] = _smooth_part(name, pixels[start : start + len(points)])
        start += len(points)
    curves.update(_mouth_outlines(curves))
    curves.update(_body(p, unit, center))
    landmarks = np.concatenate([curves[name] for name in _LANDMARKS])
    return FaceGeometry(curves, bumps, landmarks, unit, center)


@lru_cache(maxsize=256)
def _base_name(name: str) -> str:
    return name.removesuffix("_left").removesuffix("_right")


def _lift(name: str) -> float:
    return _LIFT.get(_base_name(name), 0.0)


def _smooth_part(name: str, controls: np.ndarray) -> np.ndarray:
    base = _base_name(name)
    return controls if base in _POINTWISE else smooth_curve(controls, base in _CLOSED)


def _on_surface(flat: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Return points (N, 2) projected onto the head's front and lifted towards the viewer, (N, 3)."""
    inside = 1 - (flat[:, 0] / 1.12) ** 2 - ((flat[:, 1] + 0.05) / 1.6) ** 2
    return np.column_stack([flat, 0.85 * np.sqrt(np.maximum(inside, 0)) + lift])


def _rotation(p: FaceParameters) -> np.ndarray:
    (cy, cx, cz), (sy, sx, sz) = (f(np.radians([p.yaw, p.pitch, p.roll])) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    tilt = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return tilt @ nod @ turn


def _project(p: FaceParameters, points: np.ndarray) -> np.ndarray:
    proportions = np.array([1 + 0.08 * p.face_width, 1 + 0.06 * p.face_length, 1])
    turned = (points * proportions) @ _rotation(p).T
    return turned[:, :2] * ((_DISTANCE - 0.5) / (_DISTANCE - turned[:, 2:]))


def _front(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return the parts on the front of the head, (N, 2) each."""
    parts = {"tip": anatomy.nose_tip(p), "beard": anatomy.BEARD}
    mouths = []
    for side, name in SIDES:
        half = anatomy.half_face(p, side)
        mirror = np.array([side, 1.0])
        parts |= {f"{part}_{name}": points * mirror for part, points in _half_front(half).items()}
        parts[f"iris_{name}"] = _iris(p, side)
        mouths.append({part: points * mirror for part, points in anatomy.mouth(half).items()})
        parts[f"corner_{name}"] = mouths[-1]["outer_lower"][:1]
    return parts | _across_mouth(*mouths)


def _half_front(half: FaceParameters) -> dict[str, np.ndarray]:
    spread = np.array([0.03 * half.eye_spacing, 0])
    upper, lower = (margin + spread for margin in anatomy.eye(half))
    return {
        "brow": anatomy.brow(half),
        "lid": upper,
        "lower_lid": lower,
        "crease": upper * np.array([1, 0.85]) + np.array([0, -0.045]),
        "eye_center": np.array([[0.42, -0.01]]) + spread,
        "lens": anatomy.LENS + spread,
        "frown": anatomy.FROWN - [0, 0.06 * half.inner_brow_raise],
        "scrunch": anatomy.SCRUNCH,
        **{f"forehead{row}": line for row, line in enumerate(anatomy.FOREHEAD)},
        **anatomy.nose(half),
    }


def _iris(p: FaceParameters, side: int) -> np.ndarray:
    """Return the center (1, 2) of an iris, which follows the gaze."""
    x = side * (0.42 + 0.03 * p.eye_spacing) + 0.09 * p.gaze_x
    return np.array([[x, -0.025 + 0.05 * p.gaze_y]])


def _across_mouth(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the control points of the lips, upper curves from left to right and lower ones back."""
    across = {}
    for name in left:
        ends = (left[name][::-1], right[name]) if "upper" in name else (right[name], left[name][::-1])
        # The halves of an asymmetric face end at different heights in the middle, so they are averaged.
        middle = (ends[0][-1:] + ends[1][:1]) / 2
        across[name] = np.concatenate([ends[0][:-1], middle, ends[1][1:]])
    return across


def _mouth_outlines(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the closed outlines of the two lips and of the opening between them."""
    return {
        "upper_lip": np.concatenate([curves["outer_upper"], curves["inner_upper"][::-1]]),
        "lower_lip": np.concatenate([curves["outer_lower"], curves["inner_lower"][::-1]]),
        "opening": np.concatenate([curves["inner_upper"], curves["inner_lower"]]),
    }


def _rim(p: FaceParameters) -> dict[str, np.ndarray]:
    """Return the parts on the silhouette, (N, 3) each; turning the head shifts but does not narrow them."""
    half = anatomy.head_outline(p)
    parts = {"head": np.concatenate([half, half[-2:0:-1] * [-1, 1, 1]]), **hair.hair_outlines(p, half)}
    parts |= {f"ear_{name}": anatomy.EAR * [side, 1, 1] for side, name in SIDES}
    widen = np.array([1 / np.cos(np.radians(p.yaw)), 1 / np.cos(np.radians(p.pitch)), 1])
    return {name: points * widen for name, points in parts.items()}


def _body(p: FaceParameters, unit: float, center: np.ndarray) -> dict[str, np.ndarray]:
    """Return neck and shoulders in pixels; they tilt less than the head and do not turn."""
    angle = np.radians(0.4 * p.roll)
    tilt = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = np.array([0.25 * np.sin(np.radians(p.yaw)), 0])
    return {
        name: smooth_curve(np.concatenate([half, half[::-1] * [-1, 1]]) + lean) @ tilt.T * unit + center
        for name, half in anatomy.BODY.items()
    }
