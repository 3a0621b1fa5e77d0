"""Callbacks of a run: its record, its pace, and the guard against a loss that is no number."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer.errors import FerError
from fer.optim import mode_of


class RunRecorder(Callback):
    """Keep a row of metrics per epoch, in memory and in ``metrics.csv``, and what the best epoch looked like.

    Epochs are counted from 1, as people do.

    Args:
        path: The CSV file; its columns are those of the first epoch.
        monitor: The metric that says which epoch is best; ties go to the earlier one.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self.path, self.monitor = path, monitor
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_confusion: np.ndarray | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Remember metrics and confusion matrix where they are the best so far."""
        metrics = _floats(trainer.callback_metrics)
        if self.monitor not in metrics:
            raise FerError(f"monitor={self.monitor}: no such metric is logged. {_names(metrics)}")
        if self._is_better(metrics[self.monitor]):
            val = {name: value for name, value in metrics.items() if name.startswith("val/")}
            self.best = {"epoch": trainer.current_epoch + 1, **val}
            self.best_confusion = pl_module.confusion

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Append the epoch's row."""
        metrics = _floats(trainer.callback_metrics)
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            **dict(sorted(metrics.items())),
        }
        self.rows.append(row)
        if trainer.is_global_zero:
            self._append(row)

    def _append(self, row: Mapping[str, float]) -> None:
        first = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), extrasaction="ignore")
            if first:
                writer.writeheader()
            writer.writerow(row)

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return True
        return (
            value < self.best[self.monitor]
            if mode_of(self.monitor) == "min"
            else value > self.best[self.monitor]
        )


class Pace(Callback):
    """Log ``lr``, ``perf/images_per_second`` of an epoch's training part, and ``perf/fit_seconds`` so far."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock of the fit."""
        self._fit_start = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock of the epoch."""
        self._images, self._seconds, self._start = 0, 0.0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Count the images; the clock is read after the last batch, before validation begins."""
        self._images += len(batch["index"])
        if trainer.is_last_batch:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize()
            self._seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log them."""
        figures = {
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "perf/images_per_second": self._images * trainer.world_size / max(self._seconds, 1e-9),
            "perf/fit_seconds": time.perf_counter() - self._fit_start,
        }
        pl_module.log_dict(figures, rank_zero_only=True)


class EpochLine(Callback):
    """Print a line per epoch, where the output is a file and no progress bar can move.

    Args:
        monitor: Metric shown beside the losses.
    """

    def __init__(self, monitor: str) -> None:
        self.shown = ("train/loss", "val/loss", monitor, "perf/images_per_second")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Print it."""
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            figures = [f"{name} {float(metrics[name]):.4g}" for name in self.shown if name in metrics]
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {'  '.join(figures)}", flush=True)


class FiniteLoss(Callback):
    """Stop at a loss that is NaN or infinite; the checkpoints of earlier epochs stay as they are.

    On an accelerator reading the loss would make every step wait, so the first bad step is kept on the device
    and looked at every 50 steps and before anything is validated or saved.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin without a bad step."""
        self._first_bad = torch.full((), torch.iinfo(torch.int64).max, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step if its loss is no number."""
        bad = torch.where(torch.isfinite(outputs["loss"]), self._first_bad, trainer.global_step)
        self._first_bad = torch.minimum(self._first_bad, bad)
        if pl_module.device.type == "cpu" or trainer.global_step % 50 == 0 or trainer.is_last_batch:
            self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        step = int(self._first_bad)
        if step < torch.iinfo(torch.int64).max:
            raise FerError(
                f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}). "
                "Training stopped; checkpoints of earlier epochs are kept. Try a lower optimizer.lr, "
                "trainer.gradient_clip_val=1.0 or trainer.precision=32-true."
            )


def checkpoints(folder: Path, monitor: str) -> list[Callback]:
    """Return the callbacks that write ``best.ckpt`` (by ``monitor``) and ``last.ckpt`` (each epoch)."""
    best = ModelCheckpoint(
        folder, "best", monitor=monitor, mode=mode_of(monitor), auto_insert_metric_name=False,
        enable_version_counter=False,
    )  # fmt: skip
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]


def ema(decay: float) -> WeightAveraging:
    """Return an exponential moving average of weights and buffers; validation and checkpoints use it.

    Polyak & Juditsky 1992; Tarvainen & Valpola 2017, https://arxiv.org/abs/1703.01780.

    Raises:
        FerError: The decay is not in (0, 1).
    """
    if not 0.0 < decay < 1.0:
        raise FerError(f"ema_decay: expected a number between 0 and 1, e.g. 0.998, got {decay}.")
    return WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(decay))


def _floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _names(metrics: Mapping[str, float]) -> str:
    return "There are: " + ", ".join(name for name in metrics if name.startswith("val/"))
