"""The cost of a sweep, and of the same trials without pruning."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from optuna.trial import FrozenTrial, TrialState

from fer.sweep.compose import trial_folder
from fer.sweep_reporting.found import SweepResults
from fer.training.run_folder import read_record


@dataclass(frozen=True)
class Cost:
    """The cost of one or more trainings.

    Attributes:
        images: Image passes: training images, counted each time they are seen; None if the run folder is
            missing.
        training: Training time in seconds (wall clock).
        overhead: Seconds before and after the training, which do not grow with it: reading data, building the
            network.
    """

    images: float | None
    training: float
    overhead: float

    @property
    def seconds(self) -> float:
        """Return the total time in seconds (wall clock)."""
        return self.training + self.overhead

    def scaled(self, factor: float) -> "Cost":
        """Return the cost of a training that is ``factor`` times as long."""
        images = None if self.images is None else factor * self.images
        return Cost(images, factor * self.training, self.overhead)


def trial_cost(sweep: SweepResults, trial: FrozenTrial) -> Cost:
    """Return the cost of a trial; if its process died, of all its attempts together.

    A trial that failed within its first epoch counts no images. If the run folder is missing, all seconds
    count as training.
    """
    folder = trial_folder(sweep.folder, trial.number)
    passed = float(trial.user_attrs.get("seconds", 0.0))
    training = float(read_record(folder).get("fit_seconds") or passed)
    has_started = bool(trial.intermediate_values) or trial.user_attrs.get("share", 0.0) > 0
    return Cost(_image_passes(folder) if has_started else 0.0, training, max(0.0, passed - training))


def unpruned_cost(trial: FrozenTrial, cost: Cost) -> Cost:
    """Return the cost of a trial without pruning, extrapolated from its fraction of the schedule."""
    fraction = float(trial.user_attrs.get("share", 1.0))
    return cost.scaled(1 / fraction) if trial.state == TrialState.PRUNED and fraction > 0 else cost


def sum_costs(costs: Sequence[Cost]) -> Cost:
    """Return the sum; its images are None if those of any part are."""
    images = [cost.images for cost in costs]
    known = [number for number in images if number is not None]
    return Cost(
        sum(known) if len(known) == len(images) else None,
        sum(cost.training for cost in costs),
        sum(cost.overhead for cost in costs),
    )


def sweep_costs(sweep: SweepResults) -> tuple[Cost, Cost]:
    """Return the cost of all trials that have ended, and their cost without pruning."""
    ended = [trial for trial in sweep.trials if trial.state.is_finished()]
    costs = [trial_cost(sweep, trial) for trial in ended]
    unpruned = [unpruned_cost(trial, cost) for trial, cost in zip(ended, costs, strict=True)]
    return sum_costs(costs), sum_costs(unpruned)


def _image_passes(folder: Path) -> float | None:
    """Return optimiser steps times images per step, read from the run folder."""
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file)]
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        batch = config["datamodule"]["batch_size"] * config["trainer"]["accumulate_grad_batches"]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return None
    return float(max(steps, default=0) * batch)
