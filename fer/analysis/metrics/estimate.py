"""Estimates: a measured number with its 95 % interval, number of images and a note; and their formatting."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer.analysis.metrics.intervals import percentile_interval, wilson_interval
from fer.core.text import percent, with_interval

NO_VARIATION = "no interval: the estimated variance is zero"
# Minimum number of images of an emotion for an interval of a mean over emotions; see `rare_emotions_note`
MIN_IMAGES = 5


@dataclass(frozen=True)
class Estimate:
    """A measured number with its interval. The field names are keys of metrics.json.

    Attributes:
        value: The number; None where it is undefined, and ``note`` says why.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        n: Number of images it is computed from. For precision: images predicted as the emotion; for other
            scores of an emotion: images labelled with it.
        note: Remark for the reader, as part of a sentence.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""


def estimate_from_resamples(
    value: float, draws: np.ndarray, n: int, note: str = "", hits: tuple[int, int] | None = None
) -> Estimate:
    """Return an estimate with the percentile interval of its bootstrap draws.

    Args:
        value: As measured; NaN where it is undefined.
        draws: The value in each resample, ``(R,)``.
        hits: Numbers of hits and of images, if the value is their ratio. If all draws are equal (3 of 3
            correct), the bootstrap gives no interval, and Wilson's is used.
    """
    if np.isnan(value):
        return Estimate(None, None, None, n, note)
    low, high = percentile_interval(draws)
    if low < high:
        return Estimate(float(value), low, high, n, note)
    if hits is None:
        return Estimate(float(value), None, None, n, join_notes(note, NO_VARIATION))
    low, high = wilson_interval(*hits)
    # Rounding may put a value of 0 or 1 just outside
    return Estimate(float(value), min(low, value), max(high, value), n, join_notes(note, "Wilson's interval"))


def join_notes(*notes: str) -> str:
    """Join notes with semicolons, without empty ones."""
    return "; ".join(filter(None, notes))


def missing_emotions_note(support: np.ndarray, names: Sequence[str]) -> str:
    """Return ``"mean of 6 emotions: no image of disgust"``, or ``""`` where every emotion has an image."""
    missing = [name for name, count in zip(names, support, strict=True) if count == 0]
    present = len(names) - len(missing)
    return f"mean of {present} emotions: no image of {', '.join(missing)}" if missing else ""


def without_interval(estimate: Estimate, reason: str) -> Estimate:
    """Return the estimate without its interval, and with ``reason`` in its note."""
    return replace(estimate, low=None, high=None, note=join_notes(estimate.note, reason))


def rare_emotions_note(support: np.ndarray, names: Sequence[str]) -> str:
    """Return why a mean over emotions has no interval; ``""`` if it has one.

    It has none if an emotion has images, but fewer than `MIN_IMAGES`. The bootstrap cannot draw images that
    are not in the sample: a single image of an emotion is either always correct or always wrong. In
    simulations with one rare emotion among seven, 95 % intervals of UAR covered the true value in 4 % (1
    image), 50 % (2), 69 % (3) and 88 % (5) of the cases.
    """
    rare = [
        f"{count} of {name}" for name, count in zip(names, support, strict=True) if 0 < count < MIN_IMAGES
    ]
    return f"no interval: too few images ({', '.join(rare)})" if rare else ""


def format_cells(estimate: Estimate, in_percent: bool = True) -> tuple[str | None, str | None, int]:
    """Return value, interval and n as table cells: ``"58.9 %"``, ``"57.3 to 60.5 %"``, 3589.

    Undefined values and missing intervals are None. Without ``in_percent``, numbers have four decimals.
    """
    show = percent if in_percent else "{:.4f}".format
    value = None if estimate.value is None else show(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value, None, estimate.n
    return value, f"{show(estimate.low).removesuffix(' %')} to {show(estimate.high)}", estimate.n


def points(fraction: float) -> str:
    """Return a fraction in percent, without the unit: ``58.9``."""
    return f"{100 * fraction:.1f}"


def signed_number(value: float, digits: int) -> str:
    """Return a number with its sign, ``+2.1``; what is rounded to zero has none."""
    text = f"{value:+z.{digits}f}"
    return text if float(text) else text[1:]


def format_with_interval(estimate: Estimate) -> str | None:
    """Return ``"58.9 [57.3, 60.5]"``, in percent, or None where the estimate has no value."""
    if estimate.value is None:
        return None
    return with_interval(estimate.value, estimate.low, estimate.high, points)


def proportion(hits: int, n: int) -> Estimate:
    """Return ``hits / n`` with Wilson's 95 % interval; undefined where ``n`` is 0."""
    if n == 0:
        return Estimate(None, None, None, 0, "no image")
    return Estimate(hits / n, *wilson_interval(hits, n), n)


def format_percent(value: float) -> str:
    """Return a fraction as a rounded percentage, ``93 %``; ``0 %`` and ``100 %`` only if exact."""
    rounded = round(100 * value)
    if rounded == 0 and value > 0:
        return "<1 %"
    return ">99 %" if rounded == 100 and value < 1 else f"{rounded} %"


def format_proportion(estimate: Estimate) -> str:
    """Return ``61.2 % [58.4, 63.9]``, or why the proportion is undefined."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate.note or "undefined"
    return with_interval(estimate.value, estimate.low, estimate.high, points, " %")
