"""TrialCallback: reports a trial's validations to the study, and stops it if the pruner decides so."""

import time
from typing import Any

import pytorch_lightning as pl
from optuna.trial import Trial
from pytorch_lightning.callbacks import Callback

from fer.sweep.books import SweepStudy
from fer.sweep.search import SCHEDULE_STEPS, step_at
from fer.sweep.storage import with_retries


class SupersededError(Exception):
    """The trial was given to another process, because this one missed its heartbeats for too long."""


class TrialCallback(Callback):
    """Report each validation at its fraction of the schedule, and stop the training if it is pruned.

    Attributes:
        ended_as: ``"pruned"`` once the pruner has stopped the trial; None until then.
        fraction: Fraction of the schedule at the last report.
        seconds: Time spent on reports and pruning decisions, which is part of the training time.

    Args:
        trial: The trial.
        sweep_study: The sweep.
    """

    def __init__(self, trial: Trial, sweep_study: SweepStudy) -> None:
        self.trial, self.sweep_study = trial, sweep_study
        self.ended_as: str | None = None
        self.fraction = 0.0
        self.seconds = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report, and ask the pruner; not at the end of the schedule, where pruning saves nothing."""
        if trainer.sanity_checking:
            return
        start = time.perf_counter()
        try:
            with_retries(lambda: self._report(trainer))
        finally:
            self.seconds += time.perf_counter() - start

    def _report(self, trainer: pl.Trainer) -> None:
        if not self.sweep_study.owns(self.trial):
            raise SupersededError
        self.fraction = min(1.0, trainer.global_step / trainer.estimated_stepping_batches)
        step = step_at(self.fraction)
        stored = self.sweep_study.storage.get_trial(self.trial._trial_id)
        if step not in stored.intermediate_values:
            value = float(trainer.callback_metrics[self.sweep_study.plan.objective])
            self.trial.report(value, step)
        if step < SCHEDULE_STEPS and self.trial.should_prune():
            self.ended_as = "pruned"
            trainer.should_stop = True
