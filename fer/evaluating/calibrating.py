"""The temperature of a run: fitted where its validation split is scored, stored beside the checkpoint."""

import os

from fer.analysis.confidence import calibrate
from fer.analysis.predictions import Predictions
from fer.analysis.temperature import Calibration, read_temperature, write_temperature
from fer.scoring import Scene, TrainedRun, score, trace


def find_calibration(predictions: Predictions, run: TrainedRun | None, scene: Scene) -> Calibration | None:
    """Return the calibration of a run, fitted on its own validation split.

    Args:
        predictions: Of any split, without test-time augmentation.
        run: The run; ``None`` for an ensemble, which is calibrated where its validation split is scored.
        scene: The data.

    Returns:
        ``None`` where the validation split that the run was trained with is not there.
    """
    if _is_own_validation(predictions):
        found = calibrate(predictions)
    elif run is None:
        return None
    elif (stored := read_temperature(run.path.parent, run.model_sha256)) is not None:
        return stored
    elif (validated := _score_validation(run, scene)) is not None:
        found = calibrate(validated)
    else:
        return None
    if run is not None and _may_write(run):
        write_temperature(run.path.parent, found)
    return found


def _is_own_validation(predictions: Predictions) -> bool:
    about = predictions.about
    return about["role"] == "val" and not about["other_data"] and "val" not in about["changed"]


def _score_validation(run: TrainedRun, scene: Scene) -> Predictions | None:
    own, subject = scene.trained_on(run), scene.validation(run)
    if own is None or subject is None:
        return None
    found = score(run, subject, trace(run, subject, own, own).about).predictions
    return found if _is_own_validation(found) else None


def _may_write(run: TrainedRun) -> bool:
    """Whether the folder takes it; that of another checkpoint than the best gives way to the best's."""
    folder = run.path.parent
    return os.access(folder, os.W_OK) and (run.path.stem == "best" or read_temperature(folder) is None)
