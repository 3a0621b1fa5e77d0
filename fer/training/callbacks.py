"""Callbacks of a run: its pace, its checkpoints, and the guard against a loss that is no number."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from fer.data.loader import seeded
from fer.errors import FerError
from fer.optim import mode_of


class SeedEpoch(Callback):
    """Seed the global random numbers (dropout, mixing) of each epoch from seed, epoch and process alone.

    So a resumed run draws what an uninterrupted one would have drawn.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed them before the first batch; a loader may draw a number after the start of the epoch."""
        if batch_idx == 0:
            purpose = f"epoch, process {trainer.global_rank}"
            torch.manual_seed(seeded(purpose, self.seed, trainer.current_epoch).initial_seed())


class Pace(Callback):
    """Log the figures of an epoch's training part: loss, accuracy, ``lr``, images/s, seconds of fit."""

    _earlier_seconds = 0.0
    _fit_start = 0.0

    def state_dict(self) -> dict[str, float]:
        """Return the seconds of fit so far, for a checkpoint."""
        return {"fit_seconds": self._fit_seconds()}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on counting from a checkpoint's seconds."""
        self._earlier_seconds = state_dict["fit_seconds"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock of the fit."""
        self._fit_start = time.perf_counter()
        self._images, self._seconds = 0, 0.0
        self._start: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock of the epoch."""
        self._images, self._seconds = 0, 0.0
        self._resume(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Count the images."""
        self._images += len(batch["index"])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Stop the clock: validation does not count."""
        self._pause(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Let it run again."""
        self._resume(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the figures."""
        self._pause(pl_module)
        figures = {
            "lr": max(group["lr"] for group in trainer.optimizers[0].param_groups),  # the head's
            "perf/images_per_second": self._images * trainer.world_size / max(self._seconds, 1e-9),
            "perf/fit_seconds": self._fit_seconds(),
        }
        pl_module.log_dict(figures | pl_module.figures("train"))

    def _fit_seconds(self) -> float:
        return self._earlier_seconds + time.perf_counter() - self._fit_start

    def _resume(self, pl_module: Any) -> None:
        self._start = _now(pl_module)

    def _pause(self, pl_module: Any) -> None:
        if self._start is not None:
            self._seconds += _now(pl_module) - self._start
        self._start = None


def _now(pl_module: Any) -> float:
    """Return the time at which the device has done what it was asked to do."""
    if pl_module.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


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

    _first_bad: Tensor

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin without a bad step."""
        self._first_bad = torch.full((), torch.iinfo(torch.int64).max, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step if its loss is no number."""
        bad = torch.where(torch.isfinite(outputs["loss"]), self._first_bad, trainer.global_step)
        self._first_bad = torch.minimum(self._first_bad, bad)
        if pl_module.device.type == "cpu" or trainer.global_step % 50 == 0:
            self._check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before a validation."""
        if not trainer.sanity_checking:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before the epoch's checkpoint."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        step = int(self._first_bad)
        if step < torch.iinfo(torch.int64).max:
            raise FerError(
                f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}). "
                "Training stopped; checkpoints of earlier epochs are kept. Try a lower optimizer.lr, "
                "trainer.gradient_clip_val=1.0 or trainer.precision=32-true."
            )


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a run folder that may have been moved before it goes on.

    Lightning forgets the best score where the folder's path is another, and would write a worse epoch over
    the best one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state over, its files being those of the same name in this folder."""
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved: dict[str, Any] = {name: self._here(state_dict[name]) for name in paths}
        moved["best_k_models"] = {
            self._here(path): score for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict({**state_dict, **moved, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else path


def checkpoints(folder: Path, monitor: str) -> list[Callback]:
    """Return the callbacks that write ``best.ckpt`` (by ``monitor``) and ``last.ckpt`` (each epoch)."""
    best = RunCheckpoint(
        folder, "best", monitor=monitor, mode=mode_of(monitor), auto_insert_metric_name=False,
        enable_version_counter=False,
    )  # fmt: skip
    last = RunCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]
