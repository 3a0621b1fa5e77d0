"""The calibration of an exported model: its temperature and its confidence threshold."""

from collections.abc import Sequence
from typing import Any

from fer.analysis.selective import Threshold
from fer.analysis.temperature import Calibration, read_calibration
from fer.evaluating.calibrating import find_calibration
from fer.scoring import EvaluationData, TrainedRun, ensemble, score


def load_or_fit_calibration(
    runs: Sequence[TrainedRun], evaluation: EvaluationData | None
) -> Calibration | None:
    """Return the calibration that fer-evaluate stored for these weights, or fit one on the validation split.

    Args:
        runs: One run, or the members of an ensemble; for an ensemble a calibration is always fitted.
        evaluation: The run's own validation split, see `fer.exporting.own_data.open_validation_data`.

    Returns:
        None if there is neither a stored calibration nor data; the model is then exported uncalibrated.
    """
    single_run = runs[0] if len(runs) == 1 else None
    stored = read_calibration(single_run.path.parent, single_run.model_sha256) if single_run else None
    if stored is not None or evaluation is None:
        return stored
    # All members were selected on these images, so their provenance is the same.
    about = evaluation.provenance(runs[0]).about
    predictions = [score(run, evaluation.split, about).predictions for run in runs]
    return find_calibration(predictions[0] if single_run else ensemble(predictions), single_run, evaluation)


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
