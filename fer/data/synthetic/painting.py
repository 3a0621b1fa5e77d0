"""Paint the background, the body and every part of a face in flat colors; lighting is applied later."""

import colorsys
from typing import NamedTuple

import cv2
import numpy as np

from fer.data.synthetic.canvas import (
    Color,
    blend,
    coverage_mask,
    fill_circle,
    fill_polygon,
    mix_colors,
    paint_clipped,
    stroke,
)
from fer.data.synthetic.geometry import SIDES, FaceGeometry
from fer.data.synthetic.parameters import FaceParameters

_BLACK, _WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
_EYE_WHITE, _PUPIL, _LASHES = (250, 247, 244), (14, 12, 14), (36, 24, 22)
_CAVITY, _TONGUE, _TEETH = (74, 22, 28), (186, 88, 92), (248, 245, 238)
_FRAME = (36, 32, 36)
# Ramps of colors, from the first to the last value of the parameters skin_tone, hair_tone and eye_tone.
_SKIN: list[Color] = [
    (250, 220, 198), (238, 197, 165), (222, 172, 134), (188, 133, 95), (142, 94, 65), (96, 62, 43)
]  # fmt: skip
_HAIR: list[Color] = [(226, 190, 120), (190, 140, 80), (140, 84, 48), (86, 54, 36), (38, 30, 28)]
_EYES: list[Color] = [(96, 146, 186), (104, 150, 120), (120, 110, 60), (96, 62, 34), (62, 38, 24)]


class _Palette(NamedTuple):
    skin: Color
    lips: Color
    hair: Color
    brows: Color
    iris: Color
    clothes: Color


def _palette(p: FaceParameters) -> _Palette:
    """Return the colors of a face."""
    skin = _ramp(_SKIN, p.skin_tone)
    hair = mix_colors(_ramp(_HAIR, p.hair_tone), (196, 196, 198), 0.9 * p.hair_gray)
    red, green, blue = colorsys.hsv_to_rgb(p.clothes_tone, 0.45, 0.62)
    return _Palette(
        skin=skin,
        lips=mix_colors(skin, (170, 52, 60), 0.5 - 0.12 * p.skin_tone),
        hair=hair,
        # Darker than the hair, so that fair brows are visible.
        brows=mix_colors(hair, (34, 22, 18), 0.6),
        iris=_ramp(_EYES, p.eye_tone),
        clothes=(255 * red, 255 * green, 255 * blue),
    )


def _ramp(colors: list[Color], t: float) -> Color:
    """Interpolate linearly between colors, with t from 0 (first) to 1 (last)."""
    position = t * (len(colors) - 1)
    low = min(int(position), len(colors) - 2)
    return mix_colors(colors[low], colors[low + 1], position - low)


def paint_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a blurred background: soft patches around one color, uint8 (size, size, 3)."""
    base = rng.uniform(60, 215) + rng.uniform(-22, 22, 3)
    patches = base + rng.uniform(-38, 38, (4, 4, 1)) + rng.uniform(-9, 9, (4, 4, 3))
    small = np.clip(patches, 0, 255).astype(np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def paint_person(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, rng: np.random.Generator) -> None:
    """Paint the body, the head and all its features."""
    colors = _palette(p)
    _paint_body(canvas, face, colors)
    _paint_head(canvas, face, colors)
    if p.beard > 0:
        outlines = ([face.curves["beard"]], [face.curves["head"]])
        mask = cv2.bitwise_and(*(coverage_mask(outline, *canvas.shape[:2]) for outline in outlines))
        soft = cv2.GaussianBlur(mask, (0, 0), 0.05 * face.unit)
        blend(canvas, colors.brows, soft.astype(np.float32) * (0.85 * p.beard / 255))
    for _, side in SIDES:
        wing = face.curves[f"wing_{side}"]
        stroke(canvas, [wing], mix_colors(colors.skin, (90, 30, 20), 0.3), 0.022 * face.unit)
        nostril = face.curves[f"nostril_{side}"]
        fill_polygon(canvas, nostril, mix_colors(colors.skin, (50, 16, 14), 0.68))
    _paint_mouth(canvas, p, face, colors)
    _paint_wrinkles(canvas, p, face, colors)
    for _, side in SIDES:
        _paint_eye(canvas, p, face, colors, side)
        fill_polygon(canvas, face.curves[f"brow_{side}"], colors.brows)
    if "scalp" in face.curves:
        _paint_hair(canvas, p, face, colors, rng)
    if p.glasses > 0:
        _paint_glasses(canvas, p, face)


def _paint_body(canvas: np.ndarray, face: FaceGeometry, colors: _Palette) -> None:
    """Paint the hair behind the head, the shoulders, the neck and the shadow of the chin."""
    curves = face.curves
    if "back" in curves:
        fill_polygon(canvas, curves["back"], mix_colors(colors.hair, _BLACK, 0.3))
    fill_polygon(canvas, curves["torso"], colors.clothes)
    seam = mix_colors(colors.clothes, _BLACK, 0.2)
    stroke(canvas, [curves["torso"]], seam, 0.05 * face.unit, closed=True)
    fill_polygon(canvas, curves["neck"], mix_colors(colors.skin, (90, 40, 30), 0.22))

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        shadow = curves["head"] - origin + [0, 0.2 * face.unit]
        fill_polygon(layer, shadow, mix_colors(colors.skin, (60, 22, 18), 0.42))
        cv2.GaussianBlur(layer, (0, 0), 0.05 * face.unit, dst=layer)

    paint_clipped(canvas, curves["neck"], paint)


def _paint_head(canvas: np.ndarray, face: FaceGeometry, colors: _Palette) -> None:
    """Paint the ears and the bald head."""
    for _, side in SIDES:
        ear = face.curves[f"ear_{side}"]
        fill_polygon(canvas, ear, mix_colors(colors.skin, (150, 60, 50), 0.14))
        inner = ear.mean(0) + 0.6 * (ear - ear.mean(0))
        stroke(canvas, [inner], mix_colors(colors.skin, (110, 40, 34), 0.4), 0.03 * face.unit)
    fill_polygon(canvas, face.curves["head"], colors.skin)


def _paint_wrinkles(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, colors: _Palette) -> None:
    """Paint the wrinkles of the forehead (AU1, AU2), between the brows (AU4) and beside the nose (AU9)."""
    raised = max(p.inner_brow_raise, p.outer_brow_raise, 0.5 * p.age) * (0.1 + 0.16 * p.age)
    depths = dict.fromkeys(("forehead0", "forehead1", "forehead2"), raised)
    depths |= {"frown": 0.4 * max(p.brow_lower, 0.8 * p.nose_wrinkle), "scrunch": 0.4 * p.nose_wrinkle}
    for name, depth in depths.items():
        if depth > 0.03:
            lines = [face.curves[f"{name}_{side}"] for _, side in SIDES]
            stroke(canvas, lines, mix_colors(colors.skin, (80, 34, 26), depth), 0.024 * face.unit)


def _paint_mouth(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, colors: _Palette) -> None:
    down, curves = _down_direction(p) * face.unit, face.curves
    bite = 0.1 + 0.05 * p.lip_corner_pull - 0.12 * p.jaw_drop * (1 - p.lip_stretch) - 0.04 * p.lip_stretch
    upper, lower = curves["inner_upper"], curves["inner_lower"]

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        layer[:] = _CAVITY
        fill_circle(layer, lower.mean(0) - origin + 0.12 * down, 0.2 * face.unit, _TONGUE)
        gums, roots = upper - origin, lower - origin
        fill_polygon(layer, np.concatenate([gums - 0.1 * down, gums[::-1] + bite * down]), _TEETH)
        if p.lip_stretch > 0:
            tips = roots[::-1] - 0.06 * p.lip_stretch * down
            fill_polygon(layer, np.concatenate([roots + 0.1 * down, tips]), _TEETH)

    paint_clipped(canvas, curves["opening"], paint)
    fill_polygon(canvas, curves["upper_lip"], mix_colors(colors.lips, _BLACK, 0.12))
    fill_polygon(canvas, curves["lower_lip"], colors.lips)
    stroke(canvas, [upper], mix_colors(colors.lips, (60, 10, 18), 0.65), 0.026 * face.unit)
    stroke(canvas, [lower], mix_colors(colors.lips, (60, 10, 18), 0.35), 0.016 * face.unit)


def _paint_eye(
    canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, colors: _Palette, side: str
) -> None:
    curves, unit, iris = face.curves, face.unit, colors.iris
    lid, lower_lid, crease = (curves[f"{part}_{side}"] for part in ("lid", "lower_lid", "crease"))

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        center = curves[f"iris_{side}"][0] - origin
        layer[:] = _EYE_WHITE
        fill_circle(layer, center, 0.118 * unit, mix_colors(iris, _BLACK, 0.55))
        fill_circle(layer, center, 0.094 * unit, iris)
        below = center + 0.03 * unit * _down_direction(p)
        fill_circle(layer, below, 0.06 * unit, mix_colors(iris, _WHITE, 0.22))
        fill_circle(layer, center, 0.052 * unit, _PUPIL)
        shadow = layer.copy()
        stroke(shadow, [lid - origin], (70, 50, 50), 0.1 * unit)
        cv2.addWeighted(shadow, 0.4, layer, 0.6, 0, layer)
        glint = np.array([np.sin(np.radians(p.light_azimuth)), -0.7]) * 0.042 * unit
        fill_circle(layer, center + glint, 0.028 * unit, _WHITE)

    paint_clipped(canvas, np.concatenate([lid, lower_lid[::-1]]), paint)
    stroke(canvas, [lower_lid], mix_colors(colors.skin, (110, 50, 46), 0.45), 0.018 * unit)
    stroke(canvas, [crease], mix_colors(colors.skin, (70, 26, 20), 0.4), 0.022 * unit)
    stroke(canvas, [lid], _LASHES, 0.038 * unit)
    stroke(canvas, [lid[len(lid) // 2 :]], _LASHES, 0.056 * unit)


def _down_direction(p: FaceParameters) -> np.ndarray:
    """Return the unit vector in the image that points from the eyes to the chin, (2,)."""
    return np.array([-np.sin(np.radians(p.roll)), np.cos(np.radians(p.roll))])


def _paint_hair(
    canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, colors: _Palette, rng: np.random.Generator
) -> None:
    """Paint the hair from the scalp to the hairline, with strands."""
    tone, scalp, hairline = colors.hair, face.curves["scalp"], face.curves["hairline"]
    stroke(canvas, [hairline], mix_colors(colors.skin, (70, 30, 24), 0.2), 0.08 * face.unit)
    fill_polygon(canvas, np.concatenate([scalp, hairline[::-1]]), tone)
    if p.hair_style == "curly":
        for point in scalp[::3]:
            center = point + rng.uniform(-0.04, 0.04, 2) * face.unit
            fill_circle(canvas, center, rng.uniform(0.13, 0.2) * face.unit, tone)
    for shade in (mix_colors(tone, _WHITE, 0.04 + 0.08 * tone[0] / 255), mix_colors(tone, _BLACK, 0.2)):
        roots = rng.integers(3, len(scalp) - 3, 12)
        reach = np.stack([rng.uniform(0.05, 0.5, 12), np.full(12, 0.97)], 1)[..., None]
        strands = scalp[roots, None] + reach * (hairline[roots] - scalp[roots])[:, None]
        stroke(canvas, list(strands), shade, 0.02 * face.unit)


def _paint_glasses(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint thin dark frames with the opacity ``p.glasses``."""
    layer, width, curves = canvas.copy(), 0.045 * face.unit, face.curves
    left, right = curves["lens_left"], curves["lens_right"]
    stroke(layer, [left], _FRAME, width, closed=True)
    stroke(layer, [right], _FRAME, width, closed=True)
    stroke(layer, [np.stack([left[0], right[0]])], _FRAME, width)
    for lens, ear in ((left, curves["ear_left"]), (right, curves["ear_right"])):
        stroke(layer, [np.stack([lens[len(lens) // 2], ear.mean(0)])], _FRAME, width)
    cv2.addWeighted(layer, p.glasses, canvas, 1 - p.glasses, 0, canvas)


def paint_occluder(
    canvas: np.ndarray, p: FaceParameters, center: np.ndarray, unit: float, rng: np.random.Generator
) -> None:
    """Paint a hand or a flat panel from one side; ``center`` and ``unit`` as in `FaceGeometry`."""
    angle = np.radians(p.occluder_angle)
    out, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    edge = center + out * unit * (1.45 - 1.4 * p.occluder_size)
    if p.occluder == "panel":
        gray = rng.uniform(30, 220)
        corners = [edge - along * 2 * unit, edge + along * 2 * unit]
        far = [corners[1] + out * 4 * unit, corners[0] + out * 4 * unit]
        fill_polygon(canvas, np.stack(corners + far), (gray, gray * 0.95, gray * 0.9))
        return
    tone = mix_colors(_palette(p).skin, (120, 50, 40), 0.12)
    for finger, reach in zip((-0.54, -0.18, 0.18, 0.54), (0.22, 0.02, 0.0, 0.12), strict=True):
        tip = edge + (along * finger * 0.85 + out * reach) * unit
        root = tip + (out * 3 + along * finger) * unit
        for color, width in ((mix_colors(tone, (60, 20, 16), 0.5), 0.36), (tone, 0.31)):
            stroke(canvas, [np.stack([tip, root])], color, width * unit)


def head_mask(face: FaceGeometry, size: int) -> np.ndarray:
    """Return the mask of the area that is lit as the head: head, ears and hair, uint8 (size, size)."""
    curves = face.curves
    outlines = [curves["head"], curves["ear_left"], curves["ear_right"]]
    if "scalp" in curves:
        outlines.append(np.concatenate([curves["scalp"], curves["hairline"][::-1]]))
    return coverage_mask(outlines, size, size)
