"""RunRecorder: what a run measured, epoch by epoch, in memory and in ``metrics.csv``."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fer.analysis.intervals import wilson
from fer.errors import FerError
from fer.optim import mode_of


class RunRecorder(Callback):
    """Keep a row of metrics per epoch, and what the best epoch looked like. Epochs are counted from 1.

    An epoch without a validation has no ``val/`` figures in its row.

    Attributes:
        earlier_seconds: Seconds of fit before the run was resumed, up to its checkpoint.

    Args:
        path: The CSV file; it is written anew with each epoch, whole or not at all.
        monitor: The metric that says which epoch is best; ties go to the earlier one.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self.path, self.monitor = path, monitor
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_confusion: np.ndarray | None = None
        self.earlier_seconds = 0.0
        self._validated: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return rows and best epoch as plain values, for a checkpoint."""
        confusion = None if self.best_confusion is None else self.best_confusion.tolist()
        return {"rows": self.rows, "best": self.best, "best_confusion": confusion}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of a checkpoint."""
        self.rows, self.best = state_dict["rows"], state_dict["best"]
        confusion = state_dict["best_confusion"]
        self.best_confusion = None if confusion is None else np.array(confusion)
        self.earlier_seconds = self.rows[-1]["perf/fit_seconds"] if self.rows else 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Tell a schedule that follows the monitor of the epoch that a resumed run's checkpoint ended.

        Lightning writes that checkpoint before it tells the schedule.
        """
        values = [row[self.monitor] for row in self.rows if self.monitor in row]
        for entry in trainer.lr_scheduler_configs:
            if isinstance(entry.scheduler, ReduceLROnPlateau):
                for value in values[entry.scheduler.last_epoch :]:
                    entry.scheduler.step(value)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Remember metrics and confusion matrix where they are the best so far."""
        if trainer.sanity_checking:
            return
        self._validated = _floats(trainer.callback_metrics, "val/")
        if self.monitor not in self._validated:
            known = ", ".join(self._validated)
            raise FerError(f"monitor={self.monitor}: no such metric is logged. There are: {known}.")
        if self._is_better(self._validated[self.monitor]):
            self.best = {"epoch": trainer.current_epoch + 1, **self._validated}
            self.best_confusion = pl_module.confusion

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Append the epoch's row."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row |= _floats(trainer.callback_metrics, ("lr", "perf/", "train/")) | self._validated
        self._validated = {}
        self.rows.append(row)
        if trainer.is_global_zero:
            self._write()

    def outcome(self) -> dict[str, Any]:
        """Return what ``run.json`` says of the result: epochs, speed, the best epoch with n and interval."""
        speeds = [row["perf/images_per_second"] for row in self.rows]
        result: dict[str, Any] = {"epochs": len(self.rows), "best": self.best}
        result["images_per_second"] = float(np.median(speeds)) if speeds else None
        if self.best is not None and self.best_confusion is not None:
            n, right = int(self.best_confusion.sum()), int(self.best_confusion.trace())
            result |= {"validation_images": n, "accuracy_95": list(wilson(right, n))}
        return result

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        draft = self.path.with_suffix(".tmp")
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        draft.replace(self.path)

    def _is_better(self, value: float) -> bool:
        if self.best is None or math.isnan(best := self.best[self.monitor]):
            return True
        return value < best if mode_of(self.monitor) == "min" else value > best


def _floats(metrics: Mapping[str, Tensor], prefix: str | tuple[str, ...]) -> dict[str, float]:
    return {name: float(value) for name, value in sorted(metrics.items()) if name.startswith(prefix)}
