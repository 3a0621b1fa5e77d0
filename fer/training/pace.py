"""How fast a run goes: what is logged of it, and what people are told."""

import math
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor


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
        self._is_validated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Note that the figures of val/ are of this epoch."""
        self._is_validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Print it."""
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            shown = [name for name in self.shown if self._is_validated or not name.startswith("val/")]
            figures = [f"{name} {float(metrics[name]):.4g}" for name in shown if name in metrics]
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {'  '.join(figures)}", flush=True)
        self._is_validated = False


class Outlook(Callback):
    """Say, early in the first epoch, how long a run will take that is not over soon.

    Of one that begins with a frozen backbone it is said anew when all layers learn, which takes longer.

    Args:
        frozen_epochs: Epochs with a frozen backbone.
        after: Seconds to measure for.
        worth_saying: Expected seconds below which nothing is said.
    """

    def __init__(self, frozen_epochs: int = 0, after: float = 20.0, worth_saying: float = 600.0) -> None:
        self.frozen_epochs, self.after, self.worth_saying = frozen_epochs, after, worth_saying
        self._start: tuple[int, float] | None = None
        self._said: set[bool] = set()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin anew: an epoch that was over before shows its pace itself."""
        self._start = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Measure from the first batch on, which is slower than the others."""
        is_frozen = trainer.current_epoch < self.frozen_epochs
        if is_frozen in self._said:
            return
        if self._start is None:
            self._start = batch_idx, _now(pl_module)
        elif time.perf_counter() - self._start[1] >= self.after:
            self._said.add(is_frozen)
            seconds = (_now(pl_module) - self._start[1]) / (batch_idx - self._start[0])
            if trainer.is_global_zero and (line := self._line(trainer, seconds, len(batch["index"]))):
                bar = trainer.progress_bar_callback
                bar.print(line) if bar else print(line, flush=True)

    def _line(self, trainer: pl.Trainer, seconds: float, images: int) -> str | None:
        """Return what there is to say when a batch of so many images takes so many seconds."""
        epoch = seconds * trainer.num_training_batches
        left = (trainer.max_epochs or 0) - trainer.current_epoch
        if not self.worth_saying <= epoch * max(1, left) < math.inf:
            return None
        whole = f", {_duration(epoch * left)} for {left}" if left > 1 else ""
        speed = images * trainer.world_size / seconds
        if trainer.current_epoch < self.frozen_epochs < (trainer.max_epochs or 0):
            later = f"while the backbone is frozen, and longer from epoch {self.frozen_epochs + 1} on"
            return f"{speed:.3g} images/s: about {_duration(epoch)} an epoch {later}"
        return f"{speed:.3g} images/s: about {_duration(epoch)} an epoch{whole}, and validation"


def _duration(seconds: float) -> str:
    """Return e.g. ``50 s``, ``38 min`` or ``19 h``."""
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.0f} h"
