"""Words and bars as small pictures, ready to be put into a large one."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer.emotion_colors import INK, PAPER, RGB, ink_on, rgb

SMALLEST = 9  # pixels: below, nobody reads Pillow's own font
_KEPT_HEIGHT = 32  # pixels; larger labels, of which one is up to a megabyte, are drawn anew
_PANEL = (244, 245, 247)


@lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def shortened(text: str, height: int, room: int) -> str:
    """Return a text, cut off where its label would be more than ``room`` pixels wide."""
    while len(text) > 1 and _width(text, height) > room:
        text = text[:-1].rstrip()
    return text


def _width(text: str, height: int) -> int:
    return round(_font(height).getlength(text)) + 2 * _margin(height)


def _margin(height: int) -> int:
    return max(2, round(0.35 * height))


def label_tile(text: str, height: int, color: RGB) -> np.ndarray:
    """Return a text on a filled box, uint8 ``(h, w, 3)``.

    Args:
        text: One line.
        height: Of the font, in pixels.
        color: Of the box; the ink is dark or white, whichever reads better on it.
    """
    return (_kept_label if height <= _KEPT_HEIGHT else _label)(text, height, color)


def _label(text: str, height: int, color: RGB) -> np.ndarray:
    image = Image.new("RGB", (_width(text, height), round(1.5 * height)), color)
    middle = (_margin(height), image.height / 2)
    ImageDraw.Draw(image).text(middle, text, ink_on(color), _font(height), anchor="lm")
    return np.asarray(image)


_kept_label = lru_cache(maxsize=1024)(_label)


def bars_tile(probabilities: Mapping[str, float], height: int) -> np.ndarray:
    """Return a bar for each emotion on a light ground, uint8 ``(h, w, 3)``.

    Args:
        probabilities: By emotion, 0 to 1; a line each, in this order.
        height: Of the font, in pixels.
    """
    line, margin, bar = round(1.35 * height), _margin(height), 6 * height
    names, number = max(_width(name, height) for name in probabilities), _width("100 %", height)
    size = (names + bar + number + margin, line * len(probabilities) + margin)
    image = Image.new("RGB", size, _PANEL)
    pen = ImageDraw.Draw(image)
    for row, (name, share) in enumerate(probabilities.items()):
        top = margin // 2 + row * line
        middle, right = top + line / 2, names + round(bar * share)
        pen.text((margin, middle), name, INK, _font(height), anchor="lm")
        pen.rectangle((names, top + line // 5, names + bar, top + line - line // 5), PAPER)
        pen.rectangle((names, top + line // 5, right, top + line - line // 5), rgb(name))
        pen.text(
            (size[0] - margin, middle), f"{share:.0%}".replace("%", " %"), INK, _font(height), anchor="rm"
        )
    return np.asarray(image)
