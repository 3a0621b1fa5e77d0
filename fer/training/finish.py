"""What follows a fit: where the time went, the score on the test split, and how to resume."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import Profiler, SimpleProfiler
from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

import fer
from fer.analysis.metrics.estimate import format_with_interval
from fer.core.errors import FerError
from fer.core.names import override
from fer.core.plugins import as_override
from fer.training.config import RunConfig
from fer.training.recorder import RunRecorder

# Lines and characters of a profile that are printed; the file has all of it.
_PROFILE_LINES, _PROFILE_WIDTH = 16, 160


def interrupted(folder: Path) -> KeyboardInterrupt:
    """Return the exception of a run that Ctrl-C has stopped; its message says how to resume."""
    return KeyboardInterrupt(f"Resume with: fer-train {override('resume', str(folder))}{as_override()}")


@rank_zero_only
def print_profile(folder: Path, profiler: Profiler) -> None:
    """Print where the time of a fit went, and the paths of the profiler's files in the run folder."""
    paths = sorted(folder.glob("fit-profile*"))
    if isinstance(profiler, SimpleProfiler):
        _print_durations(profiler.recorded_durations)
    else:
        for path in (path for path in paths if path.suffix == ".txt"):
            text = path.read_text(encoding="utf-8")
            lines = [line.rstrip()[:_PROFILE_WIDTH] for line in text.splitlines() if line.strip()]
            print(*lines[:_PROFILE_LINES], sep="\n")
    for path in paths:
        print(f"profile  {path}", flush=True)


def _print_durations(durations: Mapping[str, Sequence[float]]) -> None:
    """Print the actions that took longest; some contain others."""
    table = Table(
        "action", *(Column(name, justify="right") for name in ("calls", "mean", "total")), box=SIMPLE
    )
    longest = sorted(durations.items(), key=lambda item: -sum(item[1]))
    for action, seconds in longest[:_PROFILE_LINES]:
        name = re.sub(r"\{.*\}", "", action)
        mean = sum(seconds) / len(seconds)
        table.add_row(name, f"{len(seconds):,}", f"{1000 * mean:.2f} ms", f"{sum(seconds):.2f} s")
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


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
    print(
        f"barebones: {trainer.current_epoch} epochs, {images * trainer.world_size / max(seconds, 1e-9):,.0f} "
        "images/s with validation; no metrics, checkpoints or loggers"
    )


@rank_zero_only
def score_test(config: RunConfig, folder: Path) -> None:
    """Score the best checkpoint on the test split, as ``fer-evaluate RUN --split test``.

    Raises:
        FerError: There is no checkpoint, or no test split.
    """
    if not (folder / "checkpoints").is_dir():
        raise FerError(
            "test: expected a checkpoint to score, but this run writes none. Remove test=true, or "
            "trainer.enable_checkpointing=false, trainer.fast_dev_run and trainer.barebones."
        )
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
