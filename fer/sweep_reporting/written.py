"""How a sweep's values are written."""

_PLAIN = ("loss", "ece")  # no shares: four decimals instead of per cent


def shown(objective: str, value: float | None) -> str:
    """Write a value of the objective: ``59.1 %``, or ``1.0432`` of a loss."""
    if value is None:
        return "–"
    return f"{value:.4f}" if _is_plain(objective) else f"{100 * value:.1f} %"


def shown_difference(objective: str, value: float) -> str:
    """Write a difference: ``+1.2`` points of a per cent, or ``+0.0432`` of a loss."""
    return f"{value:+.4f}" if _is_plain(objective) else f"{100 * value:+.1f}"


def unit(objective: str) -> str:
    """Return what differences of the objective are counted in."""
    return "" if _is_plain(objective) else " points"


def percent(share: float) -> str:
    """Write a share: ``11 %``."""
    return f"{100 * share:.0f} %"


def _is_plain(objective: str) -> bool:
    return objective.rsplit("/", 1)[-1] in _PLAIN
