"""The metric that a run is steered by."""

from typing import Literal


def mode_of(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` where less is better (losses, calibration errors), else ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"
