"""Recording of a run: its metrics per epoch in ``metrics.csv``, and its best epoch."""

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fer.analysis.metrics.classification import accuracy_estimate
from fer.core.errors import FerError
from fer.training.metrics import (
    VALIDATION,
    current_name,
    current_names,
    is_known_after_validation,
    monitor_mode,
)

# Shown with all metrics of the split that selected the epoch: they are biased upwards.
SELECTION = "validation, selection split"


class RunRecorder(Callback):
    """Record a row of metrics per epoch, and metrics and confusion matrix of the best epoch.

    Epochs are counted from 1. The row of an epoch without validation has no ``val/`` metrics. The class name
    is the key of the callback's state in checkpoints.

    Attributes:
        previous_seconds: Seconds of fit before the run was resumed, up to its checkpoint.

    Args:
        path: The CSV file; rewritten atomically at each epoch.
        monitor: The metric that selects the best epoch; of equal epochs the first is the best.
        mode: Whether a lower or a higher value of it is better; None: that of `monitor_mode`.
    """

    def __init__(self, path: Path, monitor: str, mode: Literal["min", "max"] | None = None) -> None:
        self.path, self.monitor, self.mode = path, monitor, mode or monitor_mode(monitor)
        # Of a training metric, the best epoch is known after `on_train_epoch_end`, not after its validation.
        self.is_late = is_known_after_validation(monitor)
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_confusion: np.ndarray | None = None
        self.previous_seconds = 0.0
        self._val_metrics: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return rows and best epoch as plain values, for a checkpoint."""
        confusion = None if self.best_confusion is None else self.best_confusion.tolist()
        return {"rows": self.rows, "best": self.best, "best_confusion": confusion}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows and the best epoch of a checkpoint."""
        self.rows = [current_names(row) for row in state_dict["rows"]]
        self.best = state_dict["best"] and current_names(state_dict["best"])
        confusion = state_dict["best_confusion"]
        self.best_confusion = None if confusion is None else np.array(confusion)
        self.previous_seconds = self.rows[-1]["perf/fit_seconds"] if self.rows else 0.0

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Rename the states of callbacks whose key has the monitor of an older version (`current_name`)."""
        states, monitor = checkpoint.get("callbacks", {}), repr(self.monitor)
        for key in list(states):
            name = re.search(r"(?<='monitor': ')[^']+", key)
            if name and repr(current_name(name[0])) == monitor:
                states[key.replace(name[0], self.monitor)] = states.pop(key)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Step a plateau schedule for the last epoch before the checkpoint of a resumed run.

        Lightning writes the checkpoint before it steps that schedule.
        """
        values = [row[self.monitor] for row in self.rows if self.monitor in row]
        for entry in trainer.lr_scheduler_configs:
            if isinstance(entry.scheduler, ReduceLROnPlateau):
                for value in values[entry.scheduler.last_epoch :]:
                    entry.scheduler.step(value)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Store metrics and confusion matrix if the epoch is the best so far.

        Raises:
            FerError: The monitor is not among the validation metrics.
        """
        if trainer.sanity_checking:
            return
        # A training metric still has the value of the epoch before.
        names = VALIDATION if self.is_late else (*VALIDATION, self.monitor)
        self._val_metrics = _floats(trainer.callback_metrics, names)
        if not self.is_late:
            self._compare(trainer, pl_module, self._val_metrics)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Append the row of the epoch and write the file; compare it if a training metric is monitored.

        Raises:
            FerError: The monitor is not logged.
        """
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row |= _floats(trainer.callback_metrics, ("lr", "perf/", "train/")) | self._val_metrics
        # Only an epoch with a validation has the metrics of a best one.
        if self.is_late and self._val_metrics:
            self._compare(trainer, pl_module, row)
        self._val_metrics = {}
        self.rows.append(row)
        if trainer.is_global_zero:
            self._write()

    def _compare(self, trainer: pl.Trainer, pl_module: Any, metrics: Mapping[str, float]) -> None:
        """Store the epoch if its monitor is the best so far."""
        if self.monitor not in metrics:
            raise FerError(
                f"monitor: expected a metric that is logged ({', '.join(metrics)}), got {self.monitor}."
            )
        if self._is_better(metrics[self.monitor]):
            names = (*self._val_metrics, self.monitor)
            self.best = {"epoch": trainer.current_epoch + 1, **{name: metrics[name] for name in names}}
            self.best_confusion = pl_module.confusion

    def results(self) -> dict[str, Any]:
        """Return the results for ``run.json``: epochs, speed, and the best epoch with n and 95 % interval."""
        speeds = [row["perf/images_per_second"] for row in self.rows]
        results: dict[str, Any] = {"epochs": len(self.rows), "best": self.best}
        results["images_per_second"] = float(np.median(speeds)) if speeds else None
        if self.best is not None and self.best_confusion is not None:
            accuracy = accuracy_estimate(self.best_confusion)
            results |= {"validation_images": accuracy.n, "accuracy_95": (accuracy.low, accuracy.high)}
        return results

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(self.path)

    def _is_better(self, value: float) -> bool:
        if self.best is None or math.isnan(best := self.best[self.monitor]):
            return True
        return value < best if self.mode == "min" else value > best


def _floats(metrics: Mapping[str, Tensor], prefix: str | tuple[str, ...]) -> dict[str, float]:
    return {name: float(value) for name, value in sorted(metrics.items()) if name.startswith(prefix)}
