"""Colors of skin, hair, eyes and clothes, RGB in [0, 255]."""

import colorsys

from fer.data.synthetic.parameters import FaceParameters

Color = tuple[float, float, float]

_SKIN: list[Color] = [
    (250, 220, 198),
    (238, 197, 165),
    (222, 172, 134),
    (188, 133, 95),
    (142, 94, 65),
    (96, 62, 43),
]
_HAIR: list[Color] = [(226, 190, 120), (190, 140, 80), (140, 84, 48), (86, 54, 36), (38, 30, 28)]
_EYES: list[Color] = [(96, 146, 186), (104, 150, 120), (120, 110, 60), (96, 62, 34), (62, 38, 24)]


def mix_colors(a: Color, b: Color, weight: float) -> Color:
    """Return ``a`` mixed with ``b``, whose weight is in [0, 1]."""
    return a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1]), a[2] + weight * (b[2] - a[2])


def _ramp(colors: list[Color], t: float) -> Color:
    """Interpolate linearly between colors, with t from 0 (first) to 1 (last)."""
    position = t * (len(colors) - 1)
    low = min(int(position), len(colors) - 2)
    return mix_colors(colors[low], colors[low + 1], position - low)


def skin_color(p: FaceParameters) -> Color:
    """Return the color of the skin."""
    return _ramp(_SKIN, p.skin_tone)


def lip_color(p: FaceParameters) -> Color:
    """Return the color of the lips: the skin's, redder and slightly darker."""
    return mix_colors(skin_color(p), (170, 52, 60), 0.5 - 0.12 * p.skin_tone)


def hair_color(p: FaceParameters) -> Color:
    """Return the color of the hair."""
    return mix_colors(_ramp(_HAIR, p.hair_tone), (196, 196, 198), 0.9 * p.hair_gray)


def brow_color(p: FaceParameters) -> Color:
    """Return the color of the brows: darker than the hair, so that fair brows are visible."""
    return mix_colors(hair_color(p), (34, 22, 18), 0.6)


def iris_color(p: FaceParameters) -> Color:
    """Return the color of the iris."""
    return _ramp(_EYES, p.eye_tone)


def clothes_color(p: FaceParameters) -> Color:
    """Return the color of the clothes."""
    red, green, blue = colorsys.hsv_to_rgb(p.clothes_tone, 0.45, 0.62)
    return (255 * red, 255 * green, 255 * blue)
