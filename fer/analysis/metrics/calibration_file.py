"""`Calibration`: the result of temperature scaling, and its file beside the checkpoint."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer.analysis.metrics.selective import Threshold
from fer.analysis.metrics.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE
from fer.core.errors import FerError
from fer.core.paths import atomic_write

FILENAME = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Temperature and confidence thresholds of a model, fitted on the validation split.

    It is stored as calibration.json beside the checkpoint. The field names are its keys; export reads them.

    Attributes:
        temperature: Divisor of the logits, `MIN_TEMPERATURE` to `MAX_TEMPERATURE`.
        low: Lower end of its 95 % interval.
        high: Upper end.
        thresholds: Calibrated confidences from which given accuracies are reached.
        role: Always ``"val"``: nothing is fitted on another split.
        split: The published name of that split, e.g. ``"PublicTest"``.
        n: Its number of images.
        manifest_sha256: SHA-256 of the manifest of these images, as canonical JSON.
        model_sha256: SHA-256 of the weights that it belongs to; None where unknown.
    """

    temperature: float
    low: float
    high: float
    thresholds: tuple[Threshold, ...]
    role: str
    split: str
    n: int
    manifest_sha256: str
    model_sha256: str | None


def choose_threshold(calibration: Calibration) -> Threshold | None:
    """Return the threshold below which predictions count as uncertain.

    It is that of the lowest target accuracy that the model does not reach without abstaining. A model that
    reaches all targets without abstaining gets the threshold of the highest target.

    Returns:
        None if no confidence threshold reaches any target accuracy.
    """
    reached = [threshold for threshold in calibration.thresholds if threshold.confidence is not None]
    abstaining = [
        threshold for threshold in reached if threshold.coverage is not None and threshold.coverage < 1
    ]
    return next(iter(abstaining or reached[-1:]), None)


def calibration_entry(calibration: Calibration | None) -> dict[str, Any] | None:
    """Return the calibration as JSON values for the card; None if the model is not calibrated."""
    if calibration is None:
        return None
    threshold = choose_threshold(calibration)
    return {
        "split": calibration.split,
        "n": calibration.n,
        "temperature_95": [calibration.low, calibration.high],
        "threshold": None if threshold is None else vars(threshold),
    }


def write_calibration(folder: str | Path, calibration: Calibration) -> Path:
    """Write ``calibration.json`` atomically into the checkpoint's folder; return its path.

    Raises:
        FerError: It was not fitted on the validation split, or the folder is not writable.
    """
    path = Path(folder) / FILENAME
    if calibration.role != "val":
        raise FerError(
            f"{path}: expected a temperature fitted on the validation split only, got one of "
            f"{calibration.role!r}. Run fer-evaluate RUN --split val."
        )
    try:
        with atomic_write(path) as file:
            file.write(json.dumps(asdict(calibration), indent=2).encode() + b"\n")
    except OSError as error:
        raise FerError(
            f"{path}: cannot be written ({error}). Free disk space or check permissions."
        ) from error
    return path


def read_calibration(folder: str | Path, model_sha256: str | None = None) -> Calibration | None:
    """Read ``calibration.json`` from the checkpoint's folder.

    Args:
        model_sha256: SHA-256 of the weights that it must belong to; None accepts any.

    Returns:
        The calibration; None where there is none, or where it belongs to other weights (e.g. ``last.ckpt``).

    Raises:
        FerError: The file is damaged or is not a calibration.
    """
    path = Path(folder) / FILENAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        thresholds = tuple(Threshold(**entry) for entry in content["thresholds"])
        calibration = Calibration(**{**content, "thresholds": thresholds})
        if not MIN_TEMPERATURE <= calibration.temperature <= MAX_TEMPERATURE:
            raise ValueError(f"temperature {calibration.temperature!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerError(
            f"{path}: expected a calibration written by fer-evaluate RUN --split val, but the file is "
            f"damaged ({type(error).__name__}: {error}). Delete it and run fer-evaluate RUN --split val "
            "again."
        ) from error
    return calibration if model_sha256 in (None, calibration.model_sha256) else None
