"""Paint eyes, brows, nose, mouth and beard in flat colors; lighting is applied later."""

import cv2
import numpy as np

from fer.data.synthetic import colours
from fer.data.synthetic.brush import (
    blend,
    coverage_mask,
    fill_circle,
    fill_polygon,
    paint_clipped,
    stroke,
    stroke_all,
)
from fer.data.synthetic.colours import mix_colors
from fer.data.synthetic.geometry import SIDES, FaceGeometry
from fer.data.synthetic.parameters import FaceParameters

_BLACK = (0.0, 0.0, 0.0)
_EYE_WHITE, _PUPIL, _LASHES = (250, 247, 244), (14, 12, 14), (36, 24, 22)
_CAVITY, _TONGUE, _TEETH = (74, 22, 28), (186, 88, 92), (248, 245, 238)


def paint_features(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint all features on the front of the head."""
    if p.beard > 0:
        _paint_beard(canvas, p, face)
    _paint_nose(canvas, p, face)
    _paint_mouth(canvas, p, face)
    _paint_wrinkles(canvas, p, face)
    for _, side in SIDES:
        _paint_eye(canvas, p, face, side)
        fill_polygon(canvas, face.curves[f"brow_{side}"], colours.brow_color(p))


def _paint_wrinkles(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint the wrinkles of the forehead (AU1, AU2), between the brows (AU4) and beside the nose (AU9)."""
    raised = max(p.inner_brow_raise, p.outer_brow_raise, 0.5 * p.age) * (0.1 + 0.16 * p.age)
    depths = dict.fromkeys(("forehead0", "forehead1", "forehead2"), raised)
    depths |= {"frown": 0.4 * max(p.brow_lower, 0.8 * p.nose_wrinkle), "scrunch": 0.4 * p.nose_wrinkle}
    for name, depth in depths.items():
        if depth > 0.03:
            lines = [face.curves[f"{name}_{side}"] for _, side in SIDES]
            stroke_all(
                canvas, lines, mix_colors(colours.skin_color(p), (80, 34, 26), depth), 0.024 * face.unit
            )


def down_direction(p: FaceParameters) -> np.ndarray:
    """Return the unit vector in the image that points from the eyes to the chin, (2,)."""
    return np.array([-np.sin(np.radians(p.roll)), np.cos(np.radians(p.roll))])


def _paint_beard(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    size = len(canvas)
    mask = cv2.bitwise_and(
        coverage_mask([face.curves["beard"]], size), coverage_mask([face.curves["head"]], size)
    )
    soft = cv2.GaussianBlur(mask, (0, 0), 0.05 * face.unit)
    blend(canvas, colours.brow_color(p), soft.astype(np.float32) * (0.85 * p.beard / 255))


def _paint_nose(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    tone = colours.skin_color(p)
    for _, side in SIDES:
        stroke(canvas, face.curves[f"wing_{side}"], mix_colors(tone, (90, 30, 20), 0.3), 0.022 * face.unit)
        fill_polygon(canvas, face.curves[f"nostril_{side}"], mix_colors(tone, (50, 16, 14), 0.68))


def _paint_mouth(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    tone, down, curves = colours.lip_color(p), down_direction(p) * face.unit, face.curves
    bite = 0.1 + 0.05 * p.lip_corner_pull - 0.12 * p.jaw_drop * (1 - p.lip_stretch) - 0.04 * p.lip_stretch
    upper, lower = curves["inner_upper"], curves["inner_lower"]

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        layer[:] = _CAVITY
        fill_circle(layer, lower.mean(0) - origin + 0.12 * down, 0.2 * face.unit, _TONGUE)
        gums = upper - origin
        fill_polygon(layer, np.concatenate([gums - 0.1 * down, gums[::-1] + bite * down]), _TEETH)
        if p.lip_stretch > 0:
            roots = lower - origin
            fill_polygon(
                layer, np.concatenate([roots + 0.1 * down, roots[::-1] - 0.06 * p.lip_stretch * down]), _TEETH
            )

    paint_clipped(canvas, curves["opening"], paint)
    fill_polygon(canvas, curves["upper_lip"], mix_colors(tone, _BLACK, 0.12))
    fill_polygon(canvas, curves["lower_lip"], tone)
    seam = mix_colors(tone, (60, 10, 18), 0.65)
    stroke(canvas, upper, seam, 0.026 * face.unit)
    stroke(canvas, lower, mix_colors(tone, (60, 10, 18), 0.35), 0.016 * face.unit)


def _paint_eye(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, side: str) -> None:
    curves, unit, tone = face.curves, face.unit, colours.skin_color(p)
    lid, lower_lid, center = curves[f"lid_{side}"], curves[f"lower_lid_{side}"], curves[f"iris_{side}"][0]

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        layer[:] = _EYE_WHITE
        ring = colours.iris_color(p)
        fill_circle(layer, center - origin, 0.118 * unit, mix_colors(ring, _BLACK, 0.55))
        fill_circle(layer, center - origin, 0.094 * unit, ring)
        fill_circle(
            layer,
            center - origin + 0.03 * unit * down_direction(p),
            0.06 * unit,
            mix_colors(ring, (255, 255, 255), 0.22),
        )
        fill_circle(layer, center - origin, 0.052 * unit, _PUPIL)
        shadow = layer.copy()
        stroke(shadow, lid - origin, (70, 50, 50), 0.1 * unit)
        cv2.addWeighted(shadow, 0.4, layer, 0.6, 0, layer)
        glint = np.array([np.sin(np.radians(p.light_azimuth)), -0.7]) * 0.042 * unit
        fill_circle(layer, center - origin + glint, 0.028 * unit, (255, 255, 255))

    paint_clipped(canvas, np.concatenate([lid, lower_lid[::-1]]), paint)
    stroke(canvas, lower_lid, mix_colors(tone, (110, 50, 46), 0.45), 0.018 * unit)
    stroke(canvas, curves[f"crease_{side}"], mix_colors(tone, (70, 26, 20), 0.4), 0.022 * unit)
    stroke(canvas, lid, _LASHES, 0.038 * unit)
    stroke(canvas, lid[len(lid) // 2 :], _LASHES, 0.056 * unit)
