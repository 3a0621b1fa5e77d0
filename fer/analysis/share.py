"""A share of images, such as accuracy or precision, with Wilson's interval."""

from fer.analysis.figure import Figure
from fer.analysis.intervals import wilson


def share(hits: int, n: int) -> Figure:
    """Return hits over images with its 95 % interval; undefined where there is no image."""
    if n == 0:
        return Figure(None, None, None, 0, "no image")
    return Figure(hits / n, *wilson(hits, n), n)


def percent(value: float) -> str:
    """Return a share as a whole percentage, ``93 %``: 0 and 100 only where it is exactly that."""
    whole = round(100 * value)
    if whole == 0 and value > 0:
        return "<1 %"
    return ">99 %" if whole == 100 and value < 1 else f"{whole} %"


def in_words(figure: Figure) -> str:
    """Return a share as people read it: ``61.2 % [58.4, 63.9]``, or why there is none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return figure.note or "undefined"
    return f"{100 * figure.value:.1f} % [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
