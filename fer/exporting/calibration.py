"""How sure a model may say it is: the temperature and the threshold that go into its bundle."""

from collections.abc import Sequence
from typing import Any

from fer.analysis.selective import Threshold
from fer.analysis.temperature import Calibration, read_temperature
from fer.evaluating.calibrating import find_calibration
from fer.scoring import Scene, TrainedRun, ensemble, score


def calibration_of(runs: Sequence[TrainedRun], scene: Scene | None) -> Calibration | None:
    """Return what fer-evaluate found for these weights, or find it now where the run's data is at hand.

    Args:
        runs: The model, or several as one: these are always calibrated now.
        scene: The run's own validation split, see `fer.exporting.own_data.find_scene`.

    Returns:
        None where neither is there: the model goes out uncalibrated.
    """
    alone = runs[0] if len(runs) == 1 else None
    stored = read_temperature(alone.path.parent, alone.model_sha256) if alone else None
    if stored is not None or scene is None:
        return stored
    about = scene.provenance(runs[0]).about  # of the images, on which all were chosen
    validated = [score(run, scene.subject, about).predictions for run in runs]
    return find_calibration(validated[0] if alone else ensemble(validated), alone, scene)


def threshold_of(calibration: Calibration) -> Threshold | None:
    """Return below which confidence an answer counts as uncertain.

    It is the threshold of the lowest wanted accuracy that not all answers reach together; of a model that
    reaches all of them, the highest. None where no confidence is enough for any.
    """
    reached = [found for found in calibration.thresholds if found.confidence is not None]
    by_choice = [found for found in reached if found.coverage is not None and found.coverage < 1]
    return next(iter(by_choice or reached[-1:]), None)


def describe(calibration: Calibration | None) -> dict[str, Any] | None:
    """Return the calibration as plain values for the card."""
    if calibration is None:
        return None
    found = threshold_of(calibration)
    return {
        "split": calibration.split,
        "n": calibration.n,
        "temperature_95": [calibration.low, calibration.high],
        "threshold": None if found is None else vars(found),
    }
