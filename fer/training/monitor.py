"""The monitored metric, which selects checkpoints and drives early stopping, schedules and sweeps."""

from typing import Literal

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import LabelSpace


def monitor_mode(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` if lower is better (losses, calibration errors), otherwise ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"


def check_monitor(monitor: object) -> None:
    """Check that the monitor is a validation metric.

    Raises:
        FerError: It is another metric, e.g. of the test split.
    """
    if not isinstance(monitor, str):
        raise FerError(f"monitor: expected a validation metric such as val/accuracy, got {monitor!r}.")
    if monitor.startswith("test/"):
        raise FerError(
            f"monitor: expected a validation metric such as val/accuracy, got {monitor}. The test split must "
            "not select a checkpoint, stop training early or control a schedule."
        )
    known = [f"val/{name}" for name in ("accuracy", "macro_f1", "uar", "loss", "ece")]
    if monitor not in known and not monitor.startswith(("val/f1/", "val/precision/", "val/recall/")):
        hint = did_you_mean(monitor, known)
        raise FerError(
            f"monitor: expected one of {', '.join(known)} or val/f1/EMOTION, got {monitor!r}.{hint}"
        )


def check_monitor_emotion(monitor: str, labels: LabelSpace) -> None:
    """Check that a monitored emotion exists in the data, before training starts.

    Raises:
        FerError: The emotion is not in ``labels``.
    """
    emotion, known = monitor.split("/")[-1], labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: expected an emotion of {', '.join(known)}, got {emotion}.{hint}")
