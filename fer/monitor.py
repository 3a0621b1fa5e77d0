"""The monitored metric, which selects checkpoints and drives early stopping, schedules and sweeps."""

from typing import Literal

from fer.errors import FerError, did_you_mean
from fer.labels import LabelSpace


def monitor_mode(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` if lower is better (losses, calibration errors), otherwise ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"


def check_monitor_emotion(monitor: str, labels: LabelSpace) -> None:
    """Check that a monitored emotion exists in the data, before training starts.

    Raises:
        FerError: The emotion is not in ``labels``.
    """
    emotion, known = monitor.split("/")[-1], labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: expected an emotion of {', '.join(known)}, got {emotion}.{hint}")
