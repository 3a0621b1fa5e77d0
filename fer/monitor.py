"""The metric that a run is steered by."""

from typing import Literal

from fer.errors import FerError, did_you_mean
from fer.labels import LabelSpace


def mode_of(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` where less is better (losses, calibration errors), else ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"


def check_emotion(monitor: str, labels: LabelSpace) -> None:
    """Refuse a monitor of an emotion that the data does not have, before an epoch is spent.

    Raises:
        FerError: It is none of these labels.
    """
    emotion, known = monitor.split("/")[-1], labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: the emotions here are {', '.join(known)}.{hint}")
