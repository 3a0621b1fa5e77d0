"""Colours of skin, hair, eyes and clothes, RGB in [0, 255]."""

import colorsys

from fer.data.synthetic.parameters import FaceParameters

Colour = tuple[float, float, float]

_SKIN: list[Colour] = [
    (250, 220, 198),
    (238, 197, 165),
    (222, 172, 134),
    (188, 133, 95),
    (142, 94, 65),
    (96, 62, 43),
]
_HAIR: list[Colour] = [(226, 190, 120), (190, 140, 80), (140, 84, 48), (86, 54, 36), (38, 30, 28)]
_EYES: list[Colour] = [(96, 146, 186), (104, 150, 120), (120, 110, 60), (96, 62, 34), (62, 38, 24)]


def mix(a: Colour, b: Colour, part: float) -> Colour:
    """``a`` with ``part`` of ``b`` in [0, 1]."""
    return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), a[2] + part * (b[2] - a[2])


def _ramp(colours: list[Colour], t: float) -> Colour:
    at = t * (len(colours) - 1)
    low = min(int(at), len(colours) - 2)
    return mix(colours[low], colours[low + 1], at - low)


def skin(p: FaceParameters) -> Colour:
    """Colour of the skin."""
    return _ramp(_SKIN, p.skin_tone)


def lips(p: FaceParameters) -> Colour:
    """Colour of the lips: the skin, redder and a little darker."""
    return mix(skin(p), (170, 52, 60), 0.5 - 0.12 * p.skin_tone)


def hair(p: FaceParameters) -> Colour:
    """Colour of the hair."""
    return mix(_ramp(_HAIR, p.hair_tone), (196, 196, 198), 0.9 * p.hair_gray)


def brows(p: FaceParameters) -> Colour:
    """Colour of the brows: darker than fair hair, so that they show."""
    return mix(hair(p), (34, 22, 18), 0.6)


def iris(p: FaceParameters) -> Colour:
    """Colour of the iris."""
    return _ramp(_EYES, p.eye_tone)


def clothes(p: FaceParameters) -> Colour:
    """Colour of the clothes."""
    red, green, blue = colorsys.hsv_to_rgb(p.clothes_tone, 0.45, 0.62)
    return (255 * red, 255 * green, 255 * blue)
