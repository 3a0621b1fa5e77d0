"""What follows a fit: its speed, the score on the test split, and how to resume."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

import fer
from fer.analysis.metrics.estimate import format_with_interval
from fer.core.errors import FerError
from fer.core.names import override
from fer.core.plugins import as_override
from fer.data.dataset import EmotionData
from fer.training.config import RunConfig
from fer.training.recorder import RunRecorder


def interrupted(folder: Path) -> KeyboardInterrupt:
    """Return the exception of a run that Ctrl-C has stopped; its message says how to resume."""
    return KeyboardInterrupt(f"Resume with: fer-train {override('resume', str(folder))}{as_override()}")


@rank_zero_only
def print_average(recorder: RunRecorder) -> None:
    """Print which checkpoints of a run with ``callbacks=swa`` are averages."""
    counts = {int(row["epoch"]): int(row.get("train/swa_epochs", 0)) for row in recorder.rows}
    last = list(counts.values())[-1:]
    best = counts.get(int((recorder.best or {}).get("epoch", 0)), 0)
    if last and last[0]:
        of_best = f"the mean of {best} epoch{'s' * (best > 1)}" if best else "of an epoch before averaging"
        print(f"swa      best.ckpt is {of_best}, last.ckpt the mean of {last[0]}", flush=True)


@rank_zero_only
def print_speed(trainer: pl.Trainer, datamodule: Any, seconds: float) -> None:
    """Print the speed of a run with ``trainer.barebones=true``, which has no metrics."""
    images = trainer.global_step * trainer.accumulate_grad_batches * datamodule.batch_size
    speed, epochs = images * trainer.world_size / max(seconds, 1e-9), trainer.current_epoch
    print(
        f"barebones: {epochs} epoch{'s' * (epochs != 1)}, {speed:,.0f} images/s with validation; no metrics, "
        "checkpoints or loggers"
    )


def check_test(config: RunConfig, data: EmotionData) -> None:
    """Check, before the training, that the test split can be scored after it if ``test=true``.

    Raises:
        FerError: The data has no test split, or the run writes no checkpoint.
    """
    if not config.test:
        return
    if "test" not in data.roles:
        splits = ", ".join(data.roles)
        raise FerError(
            f"test: expected data with a test split, got {splits} of {data.source}. Remove "
            "test=true, or score the run on other data after training: fer-evaluate RUN --data kind:path."
        )
    trainer = config.trainer
    if trainer.enable_checkpointing is False or trainer.fast_dev_run or trainer.barebones:
        raise FerError(
            "test: expected a checkpoint to score, but this run writes none. Remove test=true, or "
            "trainer.enable_checkpointing=false, trainer.fast_dev_run and trainer.barebones."
        )


@rank_zero_only
def score_test(config: RunConfig, folder: Path) -> None:
    """Score the best checkpoint on the test split, as ``fer-evaluate RUN --split test``."""
    # The public function, because this package may not import `fer.evaluation`.
    report = fer.evaluate(folder, split="test", logger="wandb" if config.logger.wandb else None)
    for warning in report.warnings:
        print(f"WARNING: {warning}")
    accuracy, macro_f1 = (format_with_interval(report.metrics[key]) for key in ("accuracy", "macro_f1"))
    print(
        f"test     accuracy {accuracy}   macro-F1 {macro_f1}   (%, n = {report.metrics['accuracy'].n:,}; "
        f"entered in the test ledger)\nreport   {report.page}",
        flush=True,
    )
