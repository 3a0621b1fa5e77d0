"""A number that was measured: with the images behind it, its interval, and what must be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer.analysis.bootstrap import percentiles
from fer.analysis.intervals import wilson

ALL_AGREE = "no resample differs, so images are too few for an interval"
FEW = 5  # images of an emotion, below which a mean over emotions has no interval; see `rare_note`


@dataclass(frozen=True)
class Figure:
    """A number that was measured.

    Attributes:
        value: The number; None where it is not defined, and ``note`` says why.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        n: Images behind it. Of precision: images predicted as the emotion; of its other scores: its images.
        note: What a reader must know, a part of a sentence.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""


def measured(
    value: float, draws: np.ndarray, n: int, note: str = "", share: tuple[int, int] | None = None
) -> Figure:
    """Return a figure with the interval of its draws.

    Args:
        value: As measured; NaN where it is not defined.
        draws: The same of each resample, ``(R,)``.
        n: Images behind it.
        note: What to say of it.
        share: Hits and images, where the value is one over the other. If all draws agree (3 of 3 right), the
            interval is Wilson's: a bootstrap knows no other outcome than those that it has seen.
    """
    if np.isnan(value):
        return Figure(None, None, None, n, note)
    low, high = percentiles(draws)
    if low < high:
        return Figure(float(value), low, high, n, note)
    if share is None:
        return Figure(float(value), None, None, n, "; ".join(filter(None, (note, ALL_AGREE))))
    low, high = wilson(*share)
    words = "; ".join(filter(None, (note, "Wilson's interval")))
    return Figure(float(value), min(low, value), max(high, value), n, words)  # rounding may put 1 outside


def missing_note(support: np.ndarray, names: Sequence[str]) -> str:
    """Return ``"mean of 6 emotions: no image of disgust"``, or ``""`` where every emotion has an image."""
    missing = [name for name, count in zip(names, support, strict=True) if count == 0]
    left = len(names) - len(missing)
    return f"mean of {left} emotions: no image of {', '.join(missing)}" if missing else ""


def without_interval(figure: Figure, why: str) -> Figure:
    """Return a figure whose interval would not hold."""
    return replace(figure, low=None, high=None, note="; ".join(filter(None, (figure.note, why))))


def rare_note(support: np.ndarray, names: Sequence[str]) -> str:
    """Say why a mean over emotions has no interval; ``""`` where each emotion has `FEW` images or none.

    Resampling knows no other images than those that there are: one image of an emotion is always right, or
    always wrong. In simulations with one rare emotion among seven, 95 % intervals of UAR covered the truth in
    4 % (1 image), 50 % (2), 69 % (3) and 88 % (5) of the cases.
    """
    few = [f"{count} of {name}" for name, count in zip(names, support, strict=True) if 0 < count < FEW]
    return f"no interval: too few images ({', '.join(few)})" if few else ""


def cells(figure: Figure, percent: bool = True) -> tuple[str | None, str | None, int]:
    """Return value, interval and n as a table shows them: ``"58.9 %"``, ``"57.3 to 60.5 %"``, 3589.

    None stands for what there is none of. Where not in percent, numbers have four decimals.
    """
    value = None if figure.value is None else _write(figure.value, percent)
    if figure.low is None or figure.high is None:
        return value, None, figure.n
    low = _write(figure.low, percent).removesuffix(" %")
    return value, f"{low} to {_write(figure.high, percent)}", figure.n


def _write(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.4f}"


def with_interval(figure: Figure) -> str | None:
    """Return ``"58.9 [57.3, 60.5]"``, in percent, or None where the figure has no value."""
    if figure.value is None:
        return None
    value = f"{100 * figure.value:.1f}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
