"""Formats of a sweep's values."""

_NOT_PERCENT = ("loss", "ece")  # metrics with four decimals instead of per cent


def format_value(objective: str, value: float | None) -> str:
    """Return a value of the objective as text: ``59.1 %``, or ``1.0432`` for a loss."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if _is_percent(objective) else f"{value:.4f}"


def format_difference(objective: str, value: float) -> str:
    """Return a difference as text: ``+1.2`` percentage points, or ``+0.0432`` for a loss."""
    return f"{100 * value:+.1f}" if _is_percent(objective) else f"{value:+.4f}"


def unit(objective: str) -> str:
    """Return the unit of differences of the objective, with a leading blank; empty for a loss."""
    return " points" if _is_percent(objective) else ""


def format_percent(fraction: float) -> str:
    """Return a fraction as text: ``11 %``."""
    return f"{100 * fraction:.0f} %"


def _is_percent(objective: str) -> bool:
    return objective.rsplit("/", 1)[-1] not in _NOT_PERCENT
