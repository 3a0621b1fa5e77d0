"""The calibration of a run: fitted when its validation split is scored, stored with the checkpoint."""

import os

from fer.analysis.confidence import calibrate
from fer.analysis.predictions import Predictions
from fer.analysis.temperature import Calibration, read_calibration, write_calibration
from fer.scoring import EvaluationData, TrainedRun, find_provenance, score


def find_calibration(
    predictions: Predictions, run: TrainedRun | None, data: EvaluationData
) -> Calibration | None:
    """Return the calibration of a run, fitted on its own validation split or loaded from its folder.

    Args:
        predictions: Of any split, without test-time augmentation.
        run: The run; ``None`` for an ensemble, which is only calibrated when its validation split is scored.
        data: The evaluation data.

    Returns:
        ``None`` if the validation split that the run was trained with is not available.
    """
    if _is_own_validation(predictions):
        calibration = calibrate(predictions)
    elif run is None:
        return None
    elif (stored := read_calibration(run.path.parent, run.model_sha256)) is not None:
        return stored
    elif (validation := _score_validation(run, data)) is not None:
        calibration = calibrate(validation)
    else:
        return None
    if run is not None and _may_write(run):
        write_calibration(run.path.parent, calibration)
    return calibration


def _is_own_validation(predictions: Predictions) -> bool:
    about = predictions.about
    return about["role"] == "val" and not about["other_data"] and "val" not in about["changed"]


def _score_validation(run: TrainedRun, data: EvaluationData) -> Predictions | None:
    dataset, split = data.training_dataset(run), data.validation_split(run)
    if dataset is None or split is None:
        return None
    predictions = score(run, split, find_provenance(run, split, dataset, dataset).about).predictions
    return predictions if _is_own_validation(predictions) else None


def _may_write(run: TrainedRun) -> bool:
    """Whether the folder is writable and has no calibration with precedence.

    The calibration of the best checkpoint takes precedence over that of any other.
    """
    folder = run.path.parent
    return os.access(folder, os.W_OK) and (run.path.stem == "best" or read_calibration(folder) is None)
