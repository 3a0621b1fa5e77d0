"""Render labels and probability bars as small images that are pasted into the annotated image."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer.emotion_colors import DARK_TEXT, RGB, WHITE, emotion_rgb, text_color_on

# Below this height in pixels, Pillow's default font is not legible.
MIN_FONT_HEIGHT = 9
# Labels up to this font height in pixels are cached; larger ones take up to a megabyte each.
_MAX_CACHED_HEIGHT = 32
_PANEL = (244, 245, 247)


@lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def truncate(text: str, height: int, max_width: int) -> str:
    """Return the text, truncated so that its label is at most ``max_width`` pixels wide."""
    while len(text) > 1 and _width(text, height) > max_width:
        text = text[:-1].rstrip()
    return text


def _width(text: str, height: int) -> int:
    return round(_font(height).getlength(text)) + 2 * _margin(height)


def _margin(height: int) -> int:
    return max(2, round(0.35 * height))


def label_tile(text: str, height: int, color: RGB) -> np.ndarray:
    """Return a text on a filled box, RGB, uint8 ``(h, w, 3)``.

    Args:
        text: One line.
        height: Font height in pixels.
        color: Colour of the box; the text is dark or white, whichever has more contrast.
    """
    return (_cached_label if height <= _MAX_CACHED_HEIGHT else _label)(text, height, color)


def _label(text: str, height: int, color: RGB) -> np.ndarray:
    image = Image.new("RGB", (_width(text, height), round(1.5 * height)), color)
    middle = (_margin(height), image.height / 2)
    ImageDraw.Draw(image).text(middle, text, text_color_on(color), _font(height), anchor="lm")
    return np.asarray(image)


_cached_label = lru_cache(maxsize=1024)(_label)


def bars_tile(probabilities: Mapping[str, float], height: int) -> np.ndarray:
    """Return a bar chart of the probabilities on a light background, RGB, uint8 ``(h, w, 3)``.

    Args:
        probabilities: Probability of each emotion, one line each, in this order.
        height: Font height in pixels.
    """
    line, margin, bar = round(1.35 * height), _margin(height), 6 * height
    names, number = max(_width(name, height) for name in probabilities), _width("100 %", height)
    size = (names + bar + number + margin, line * len(probabilities) + margin)
    image = Image.new("RGB", size, _PANEL)
    pen = ImageDraw.Draw(image)
    for row, (name, probability) in enumerate(probabilities.items()):
        top = margin // 2 + row * line
        middle, right = top + line / 2, names + round(bar * probability)
        pen.text((margin, middle), name, DARK_TEXT, _font(height), anchor="lm")
        pen.rectangle((names, top + line // 5, names + bar, top + line - line // 5), WHITE)
        pen.rectangle((names, top + line // 5, right, top + line - line // 5), emotion_rgb(name))
        pen.text(
            (size[0] - margin, middle),
            f"{probability:.0%}".replace("%", " %"),
            DARK_TEXT,
            _font(height),
            anchor="rm",
        )
    return np.asarray(image)
