"""Recording of a run: its metrics per epoch in ``metrics.csv``, and plots and tables in W&B."""

import csv
import math
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fer.analysis.metrics.classification import accuracy_estimate
from fer.core.errors import FerError
from fer.core.names import artifact_name
from fer.training.loggers import warn_on_failure
from fer.training.metrics import VALIDATION, current_name, current_names, monitor_mode

_TABLE_COLUMNS = ("emotion", "precision", "recall", "f1", "support")
# Half the resolution of the images in plots/: sufficient for a dashboard.
_WANDB_DPI = 100
_STEP_KEY = "trainer/global_step"
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
        self._val_metrics = _floats(trainer.callback_metrics, (*VALIDATION, self.monitor))
        if self.monitor not in self._val_metrics:
            known = ", ".join(self._val_metrics)
            raise FerError(f"monitor: expected a metric that is logged ({known}), got {self.monitor}.")
        if self._is_better(self._val_metrics[self.monitor]):
            self.best = {"epoch": trainer.current_epoch + 1, **self._val_metrics}
            self.best_confusion = pl_module.confusion

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Append the row of the epoch and write the file."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row |= _floats(trainer.callback_metrics, ("lr", "perf/", "train/")) | self._val_metrics
        self._val_metrics = {}
        self.rows.append(row)
        if trainer.is_global_zero:
            self._write()

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


class WandbReport(Callback):
    """Log plots and tables to W&B at each new best epoch, and the best checkpoint at the end.

    Rendering a plot takes longer than a validation on a GPU, so it is done in a thread during training.

    Args:
        logger: The run's W&B logger.
        recorder: Determines the best epoch; must come before this callback in the Trainer.
        log_model: Upload the best checkpoint as an artifact.
    """

    def __init__(self, logger: WandbLogger, recorder: RunRecorder, log_model: bool) -> None:
        self.logger, self.recorder, self.log_model = logger, recorder, log_model
        self._reported: dict[str, float] | None = None
        self._executor = ThreadPoolExecutor(1, "confusion-plot")
        # (step, image), in the order of the steps.
        self._images: list[tuple[int, Future[Any]]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the epoch if it is the best, and the images that have been rendered meanwhile."""
        if not trainer.is_global_zero:
            return
        best, counts = self.recorder.best, self.recorder.best_confusion
        with warn_on_failure("W&B: tables and plots of an epoch were not logged"):
            self._log_rendered_images()
            if best is not None and counts is not None and best is not self._reported:
                self._reported = best
                self._log_best(best, counts, pl_module.labels.names, trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the remaining images, and the best checkpoint with its metrics and data manifest."""
        self._log_remaining_images()
        path = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.log_model and trainer.is_global_zero and path:
            with warn_on_failure("W&B: the best checkpoint was not logged"):
                self._log_checkpoint(Path(path), pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Log the remaining images."""
        self._log_remaining_images()

    def _log_best(
        self, best: dict[str, float], counts: np.ndarray, names: tuple[str, ...], step: int
    ) -> None:
        run = self.logger.experiment
        tables = {
            "val/confusion_chart": _confusion_chart(counts, names),
            "val/emotions": _emotion_table(best, counts, names),
        }
        run.log(tables | {_STEP_KEY: step})
        run.summary.update({f"best/{name.removeprefix('val/')}": value for name, value in best.items()})
        image = self._executor.submit(_confusion_image, counts, names, int(best["epoch"]))
        self._images.append((step, image))

    def _log_rendered_images(self) -> None:
        """Log the finished images; W&B is called from the main thread only."""
        while self._images and self._images[0][1].done():
            step, image = self._images.pop(0)
            self.logger.experiment.log({"val/confusion_picture": image.result(), _STEP_KEY: step})

    def _log_remaining_images(self) -> None:
        # Waits for the images that are being rendered.
        self._executor.shutdown()
        while self._images:
            with warn_on_failure("W&B: a confusion matrix was not logged"):
                self._log_rendered_images()

    def _log_checkpoint(self, path: Path, pl_module: Any) -> None:
        import wandb

        run = self.logger.experiment
        metadata = {"best": self.recorder.best, "manifest": dict(pl_module.hparams["manifest"])}
        artifact = wandb.Artifact(artifact_name(f"{run.name}-best"), type="model", metadata=metadata)
        # The options avoid a copy of the file in the run folder and in W&B's cache.
        artifact.add_file(str(path), name="best.ckpt", policy="immutable", skip_cache=True)
        run.log_artifact(artifact, aliases=["best"])


def _confusion_chart(counts: np.ndarray, names: tuple[str, ...]) -> Any:
    """Return W&B's interactive confusion matrix."""
    import wandb

    true, predicted = np.indices(counts.shape)
    flat = counts.ravel()
    return wandb.plot.confusion_matrix(
        y_true=np.repeat(true.ravel(), flat).tolist(),
        preds=np.repeat(predicted.ravel(), flat).tolist(),
        class_names=list(names),
        title=SELECTION,
    )


def _confusion_image(counts: np.ndarray, names: tuple[str, ...], epoch: int) -> Any:
    import wandb

    title = f"Epoch {epoch}, {int(counts.sum()):,} images ({SELECTION})"
    return wandb.Image(_render_figure(plot_confusion_matrix(counts, names, title)), caption=title)


def _emotion_table(best: dict[str, float], counts: np.ndarray, names: tuple[str, ...]) -> Any:
    import wandb

    rows = [
        [
            name,
            *(best.get(f"val_emotion/{column}/{name}") for column in _TABLE_COLUMNS[1:4]),
            int(counts[i].sum()),
        ]
        for i, name in enumerate(names)
    ]
    return wandb.Table(columns=list(_TABLE_COLUMNS), data=rows)


def _render_figure(figure: Any) -> np.ndarray:
    """Return a figure as uint8 ``(H, W, 3)``."""
    figure.set_dpi(_WANDB_DPI)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
