"""What a sweep cost, and what the same trials would have cost had none been stopped early."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from optuna.trial import FrozenTrial, TrialState

from fer.sweep.compose import trial_folder
from fer.sweep_reporting.found import FoundSweep
from fer.training.run_folder import read_record


@dataclass(frozen=True)
class Cost:
    """What training cost.

    Attributes:
        images: Training images seen, each as often as it was; None where the run folder is not at hand.
        training: Seconds that it trained, by the clock.
        beside: Seconds around the training, which do not grow with it: data read, network built.
    """

    images: float | None
    training: float
    beside: float

    @property
    def seconds(self) -> float:
        """Return all seconds, by the clock."""
        return self.training + self.beside

    def longer(self, factor: float) -> "Cost":
        """Return what training as many times as long would have cost."""
        images = None if self.images is None else factor * self.images
        return Cost(images, factor * self.training, self.beside)


def spent(sweep: FoundSweep, trial: FrozenTrial) -> Cost:
    """Return what a trial has cost; of one whose process died, all attempts together.

    One that failed within its first epoch counts no images. Where the run folder is not at hand, all seconds
    count as training.
    """
    folder = trial_folder(sweep.folder, trial.number)
    passed = float(trial.user_attrs.get("seconds", 0.0))
    training = float(read_record(folder).get("fit_seconds") or passed)
    begun = bool(trial.intermediate_values) or trial.user_attrs.get("share", 0.0) > 0
    return Cost(_images(folder) if begun else 0.0, training, max(0.0, passed - training))


def whole(trial: FrozenTrial, cost: Cost) -> Cost:
    """Return what a trial would have cost without pruning, as its part of the schedule says."""
    share = float(trial.user_attrs.get("share", 1.0))
    return cost.longer(1 / share) if trial.state == TrialState.PRUNED and share > 0 else cost


def total(costs: Sequence[Cost]) -> Cost:
    """Return the sum; its images are None where one trial's are."""
    images = [cost.images for cost in costs]
    known = [number for number in images if number is not None]
    return Cost(
        sum(known) if len(known) == len(images) else None,
        sum(cost.training for cost in costs),
        sum(cost.beside for cost in costs),
    )


def both(sweep: FoundSweep) -> tuple[Cost, Cost]:
    """Return what all trials that have ended cost, and what they would have cost without pruning."""
    ended = [trial for trial in sweep.trials if trial.state.is_finished()]
    costs = [spent(sweep, trial) for trial in ended]
    return total(costs), total([whole(trial, cost) for trial, cost in zip(ended, costs, strict=True)])


def _images(folder: Path) -> float | None:
    """Return optimiser steps times images a step, as the run folder tells them."""
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file)]
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        batch = config["datamodule"]["batch_size"] * config["trainer"]["accumulate_grad_batches"]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return None
    return float(max(steps, default=0) * batch)
