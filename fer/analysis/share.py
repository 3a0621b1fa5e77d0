"""A proportion, such as accuracy or precision, as an estimate with Wilson's interval, and its text form."""

from fer.analysis.figure import Estimate
from fer.analysis.intervals import wilson_interval


def proportion(hits: int, n: int) -> Estimate:
    """Return ``hits / n`` with Wilson's 95 % interval; undefined where ``n`` is 0."""
    if n == 0:
        return Estimate(None, None, None, 0, "no image")
    return Estimate(hits / n, *wilson_interval(hits, n), n)


def format_percent(value: float) -> str:
    """Return a fraction as a rounded percentage, ``93 %``; ``0 %`` and ``100 %`` only where it is exact."""
    rounded = round(100 * value)
    if rounded == 0 and value > 0:
        return "<1 %"
    return ">99 %" if rounded == 100 and value < 1 else f"{rounded} %"


def format_proportion(estimate: Estimate) -> str:
    """Return ``61.2 % [58.4, 63.9]``, or why the proportion is undefined."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate.note or "undefined"
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
