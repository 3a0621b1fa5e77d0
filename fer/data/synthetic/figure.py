"""Paint everything but the facial features: background, body, head, hair, glasses and occluders."""

import cv2
import numpy as np

from fer.data.synthetic import colours
from fer.data.synthetic.brush import (
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
_WHITE = (255.0, 255.0, 255.0)


def paint_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a blurred background: soft patches around one color, uint8 (size, size, 3)."""
    base = rng.uniform(60, 215) + rng.uniform(-22, 22, 3)
    patches = base + rng.uniform(-38, 38, (4, 4, 1)) + rng.uniform(-9, 9, (4, 4, 3))
    small = np.clip(patches, 0, 255).astype(np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def paint_body(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint the hair behind the head, the shoulders, the neck and the shadow of the chin."""
    curves, tone = face.curves, colours.skin_color(p)
    if "back" in curves:
        fill_polygon(canvas, curves["back"], mix_colors(colours.hair_color(p), _BLACK, 0.3))
    fill_polygon(canvas, curves["torso"], colours.clothes_color(p))
    stroke(
        canvas,
        curves["torso"],
        mix_colors(colours.clothes_color(p), _BLACK, 0.2),
        0.05 * face.unit,
        closed=True,
    )
    fill_polygon(canvas, curves["neck"], mix_colors(tone, (90, 40, 30), 0.22))

    def paint(layer: np.ndarray, origin: np.ndarray) -> None:
        fill_polygon(
            layer, curves["head"] - origin + [0, 0.2 * face.unit], mix_colors(tone, (60, 22, 18), 0.42)
        )
        cv2.GaussianBlur(layer, (0, 0), 0.05 * face.unit, dst=layer)

    paint_clipped(canvas, curves["neck"], paint)


def paint_head(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint the ears and the bald head."""
    tone = colours.skin_color(p)
    for _, side in SIDES:
        ear = face.curves[f"ear_{side}"]
        fill_polygon(canvas, ear, mix_colors(tone, (150, 60, 50), 0.14))
        stroke(
            canvas,
            ear.mean(0) + 0.6 * (ear - ear.mean(0)),
            mix_colors(tone, (110, 40, 34), 0.4),
            0.03 * face.unit,
        )
    fill_polygon(canvas, face.curves["head"], tone)


def paint_hair(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, rng: np.random.Generator) -> None:
    """Paint the hair from the scalp to the hairline, with strands."""
    if "scalp" not in face.curves:
        return
    tone, scalp, hairline = colours.hair_color(p), face.curves["scalp"], face.curves["hairline"]
    shadow = mix_colors(colours.skin_color(p), (70, 30, 24), 0.2)
    stroke(canvas, hairline, shadow, 0.08 * face.unit)
    fill_polygon(canvas, np.concatenate([scalp, hairline[::-1]]), tone)
    if p.hair_style == "curly":
        for point in scalp[::3]:
            fill_circle(
                canvas,
                point + rng.uniform(-0.04, 0.04, 2) * face.unit,
                rng.uniform(0.13, 0.2) * face.unit,
                tone,
            )
    shades = mix_colors(tone, _WHITE, 0.04 + 0.08 * tone[0] / 255), mix_colors(tone, _BLACK, 0.2)
    for shade in shades:
        roots = rng.integers(3, len(scalp) - 3, 12)
        reach = np.stack([rng.uniform(0.05, 0.5, 12), np.full(12, 0.97)], 1)[..., None]
        strands = scalp[roots, None] + reach * (hairline[roots] - scalp[roots])[:, None]
        stroke_all(canvas, list(strands), shade, 0.02 * face.unit)


def head_mask(face: FaceGeometry, size: int) -> np.ndarray:
    """Return the mask of the area that is lit as the head: head, ears and hair, uint8 (size, size)."""
    curves = face.curves
    outlines = [curves["head"], curves["ear_left"], curves["ear_right"]]
    if "scalp" in curves:
        outlines.append(np.concatenate([curves["scalp"], curves["hairline"][::-1]]))
    return coverage_mask(outlines, size)


def paint_glasses(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry) -> None:
    """Paint thin dark frames with the opacity ``p.glasses``."""
    layer, width = canvas.copy(), 0.045 * face.unit
    left, right = face.curves["lens_left"], face.curves["lens_right"]
    for lens in (left, right):
        stroke(layer, lens, (36, 32, 36), width, closed=True)
    stroke(layer, np.stack([left[0], right[0]]), (36, 32, 36), width)
    for lens, side in ((left, "left"), (right, "right")):
        stroke(
            layer, np.stack([lens[len(lens) // 2], face.curves[f"ear_{side}"].mean(0)]), (36, 32, 36), width
        )
    cv2.addWeighted(layer, p.glasses, canvas, 1 - p.glasses, 0, canvas)


def paint_occluder(
    canvas: np.ndarray, p: FaceParameters, center: np.ndarray, unit: float, rng: np.random.Generator
) -> None:
    """Paint a hand or a flat panel from one side; ``center`` and ``unit`` as in `FaceGeometry`."""
    angle = np.radians(p.occluder_angle)
    out, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    edge = center + out * unit * (1.45 - 1.4 * p.occluder_size)
    if p.occluder == "panel":
        grey = rng.uniform(30, 220)
        corners = [edge - along * 2 * unit, edge + along * 2 * unit]
        far = [corners[1] + out * 4 * unit, corners[0] + out * 4 * unit]
        fill_polygon(canvas, np.stack(corners + far), (grey, grey * 0.95, grey * 0.9))
        return
    tone = mix_colors(colours.skin_color(p), (120, 50, 40), 0.12)
    for finger, reach in zip((-0.54, -0.18, 0.18, 0.54), (0.22, 0.02, 0.0, 0.12), strict=True):
        tip = edge + (along * finger * 0.85 + out * reach) * unit
        root = tip + (out * 3 + along * finger) * unit
        for color, width in ((mix_colors(tone, (60, 20, 16), 0.5), 0.36), (tone, 0.31)):
            stroke(canvas, np.stack([tip, root]), color, width * unit)
