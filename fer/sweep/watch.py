"""TrialWatch: tells the study how a trial does while it trains, and ends it where the pruner says so."""

import time
from typing import Any

import pytorch_lightning as pl
from optuna.trial import Trial
from pytorch_lightning.callbacks import Callback

from fer.sweep.books import Books
from fer.sweep.search import STEPS, step_at
from fer.sweep.storage import patiently


class SupersededError(Exception):
    """The trial was given to another process, as this one was not heard of for too long."""


class TrialWatch(Callback):
    """Report each validation at its share of the schedule.

    Attributes:
        ended_as: ``"pruned"`` once the pruner has ended the trial; None until then.
        share: Share of the schedule at the last report.
        seconds: That went into reports and the pruner's questions, within the training.

    Args:
        trial: Of the study.
        books: Its books.
    """

    def __init__(self, trial: Trial, books: Books) -> None:
        self.trial, self.books = trial, books
        self.ended_as: str | None = None
        self.share = 0.0
        self.seconds = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report, and ask whether to go on; at the end of the schedule there is nothing to save."""
        if trainer.sanity_checking:
            return
        start = time.perf_counter()
        try:
            patiently(lambda: self._report(trainer))
        finally:
            self.seconds += time.perf_counter() - start

    def _report(self, trainer: pl.Trainer) -> None:
        if not self.books.owns(self.trial):
            raise SupersededError
        self.share = min(1.0, trainer.global_step / trainer.estimated_stepping_batches)
        step = step_at(self.share)
        if step not in self.books.storage.get_trial(self.trial._trial_id).intermediate_values:
            self.trial.report(float(trainer.callback_metrics[self.books.plan.objective]), step)
        if step < STEPS and self.trial.should_prune():
            self.ended_as = "pruned"
            trainer.should_stop = True
