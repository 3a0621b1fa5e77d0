"""Logged metrics, printed lines and plots that show the progress of a run.

Training metrics and speed of each epoch, a printed line per epoch, the expected duration, the header at the
start, and the summary at the end.
"""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor

from fer.analysis.metrics.classification import accuracy_estimate
from fer.analysis.plots.confusion import plot_confusion_matrix
from fer.analysis.plots.style import save_figure
from fer.analysis.plots.training import plot_learning_curves, plot_per_emotion
from fer.core.labels import LabelSpace
from fer.core.text import counted
from fer.data.datamodule import EmotionDataModule
from fer.data.duplicates import format_summary
from fer.data.schedule import planned_epochs
from fer.models.factory import count_parameters
from fer.training.loggers import warn_on_failure
from fer.training.metrics import PER_EMOTION, VALIDATION
from fer.training.module import EmotionModule
from fer.training.recorder import SELECTION, RunRecorder


class TrainMetricsLogger(Callback):
    """Log the training metrics of each epoch: loss, accuracy, ``lr``, images/s, and seconds of fit.

    Validation time is excluded from images/s.
    """

    # Key of the state in checkpoints; never changed, so that older checkpoints load.
    state_key = "Pace"
    _earlier_seconds = 0.0
    _fit_start = 0.0

    def state_dict(self) -> dict[str, float]:
        """Return the seconds of fit so far, for a checkpoint."""
        return {"fit_seconds": self._fit_seconds()}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continue counting from the seconds of a checkpoint."""
        self._earlier_seconds = state_dict["fit_seconds"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the timer of the fit."""
        self._fit_start = time.perf_counter()
        self._images, self._seconds = 0, 0.0
        self._start: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the timer of the epoch."""
        self._images, self._seconds, self._start = 0, 0.0, _now(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Count the images."""
        self._images += len(batch["index"])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Pause the timer of the epoch."""
        self._pause(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Resume the timer of the epoch."""
        self._start = _now(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the metrics."""
        self._pause(pl_module)
        metrics = {
            # The head has the highest rate.
            "lr": max(group["lr"] for group in trainer.optimizers[0].param_groups),
            "perf/images_per_second": self._images * trainer.world_size / max(self._seconds, 1e-9),
            "perf/fit_seconds": self._fit_seconds(),
        }
        pl_module.log_dict(metrics | pl_module.epoch_metrics("train"))

    def _fit_seconds(self) -> float:
        return self._earlier_seconds + time.perf_counter() - self._fit_start

    def _pause(self, pl_module: Any) -> None:
        if self._start is not None:
            self._seconds += _now(pl_module) - self._start
        self._start = None


def _now(pl_module: Any) -> float:
    """Return the time in seconds, after the device has finished its queued work."""
    if pl_module.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class EpochBar(TQDMProgressBar):
    """Progress bar that counts epochs from 1, as everything else does."""

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Show the number of the epoch."""
        super().on_train_epoch_start(trainer)
        total = planned_epochs(trainer)
        epochs = f"/{math.ceil(total)}" if total < math.inf else ""
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}{epochs}")


class EpochPrinter(Callback):
    """Print losses, monitor and speed of each epoch; used instead of a progress bar without a terminal.

    Args:
        monitor: The metric that selects the best epoch.
        write: Writes a line; None: to standard output.
    """

    def __init__(self, monitor: str, write: Callable[[str], Any] | None = None) -> None:
        self.write = write or partial(print, flush=True)
        self.names = tuple(dict.fromkeys(("train/loss", "val/loss", monitor, "perf/images_per_second")))
        self._is_validated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Mark the ``val/`` metrics as those of the current epoch."""
        self._is_validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Print the line."""
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            names = [name for name in self.names if self._is_validated or not name.startswith(VALIDATION)]
            values = [f"{name} {float(metrics[name]):.4g}" for name in names if name in metrics]
            total = planned_epochs(trainer)
            epochs = f"/{math.ceil(total)}" if total < math.inf else ""
            self.write(f"epoch {trainer.current_epoch + 1}{epochs}  {'  '.join(values)}")
        self._is_validated = False


class DurationEstimate(Callback):
    """Print the expected duration of a long run, early in its first epoch.

    With a frozen backbone it is printed again when all layers are trained, which takes longer.

    Args:
        frozen_epochs: Number of epochs with a frozen backbone.
        after: Seconds to measure for.
        min_duration: Expected seconds below which nothing is printed.
    """

    def __init__(self, frozen_epochs: int = 0, after: float = 20.0, min_duration: float = 600.0) -> None:
        self.frozen_epochs, self.after, self.min_duration = frozen_epochs, after, min_duration
        self._start: tuple[int, float] | None = None
        # Whether the backbone was frozen, for each estimate that was printed.
        self._printed: set[bool] = set()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Restart the measurement; after a complete epoch, the line of that epoch shows the speed."""
        self._start = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Measure from the end of the first batch, which is slower than the others."""
        is_frozen = trainer.current_epoch < self.frozen_epochs
        if is_frozen in self._printed:
            return
        if self._start is None:
            self._start = batch_idx, _now(pl_module)
        elif time.perf_counter() - self._start[1] >= self.after:
            self._printed.add(is_frozen)
            seconds = (_now(pl_module) - self._start[1]) / (batch_idx - self._start[0])
            if trainer.is_global_zero and (line := self._format_line(trainer, seconds, len(batch["index"]))):
                bar = trainer.progress_bar_callback
                bar.print(line) if bar else print(line, flush=True)

    def _format_line(self, trainer: pl.Trainer, seconds: float, images: int) -> str | None:
        """Return the line to print, from the time per batch and its images; None for a short run."""
        epoch = seconds * trainer.num_training_batches
        planned = planned_epochs(trainer)
        epochs = planned - trainer.current_epoch if planned < math.inf else 1
        if not self.min_duration <= epoch * epochs < math.inf:
            return None
        line = f"{images * trainer.world_size / seconds:.3g} images/s: about "
        if epochs < 1:
            return f"{line}{_format_duration(epoch * epochs)} to trainer.max_steps, plus validation"
        line += f"{_format_duration(epoch)} per epoch"
        if trainer.current_epoch < self.frozen_epochs < planned:
            return f"{line} while the backbone is frozen, longer from epoch {self.frozen_epochs + 1} on"
        total = f", {_format_duration(epoch * epochs)} for {round(epochs, 1):g} epochs" if epochs > 1 else ""
        return f"{line}{total}, plus validation"


def _format_duration(seconds: float) -> str:
    """Return e.g. ``50 s``, ``38 min`` or ``19 h``."""
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.0f} h"


@rank_zero_only
def print_header(
    module: EmotionModule,
    datamodule: EmotionDataModule,
    trainer: pl.Trainer,
    folder: Path,
    checkpoint: Path | None,
) -> None:
    """Print model, data, precision, and the folder, which a resume needs, before the first epoch."""
    sizes = ", ".join(f"{len(rows):,} {role}" for role, rows in datamodule.rows.items())
    model = module.config.model
    print(
        f"{model.name}, {count_parameters(module.model):,} parameters, {model.image_size} px, "
        f"{trainer.precision}; {datamodule.data.source}: {sizes} images",
        flush=True,
    )
    if "groups" in (val := datamodule.data.roles.get("val", "")):
        print(f"validation: {val}", flush=True)
    if landmarks := datamodule.manifest.get("landmarks"):
        print(f"aligned by landmarks: {landmarks['faces']:,} of {len(datamodule.data):,} faces", flush=True)
    print(*format_summary(datamodule.duplicates), sep="", end="", flush=True)
    for rule, count in datamodule.data.dropped.items():
        print(f"dropped {counted(count, 'image')}: {rule}", flush=True)
    print(f"resuming from {checkpoint}" if checkpoint else f"writing to {folder}", flush=True)


def save_plots(folder: Path, recorder: RunRecorder, labels: LabelSpace) -> None:
    """Save the learning curves and, of the best epoch, confusion matrix and metrics per emotion.

    A plot that fails is a warning.
    """
    if not recorder.rows:
        return
    best, counts = recorder.best, recorder.best_confusion
    epoch = int(best["epoch"]) if best else None
    _save_plot(folder, "learning_curves", lambda: plot_learning_curves(recorder.rows, epoch, folder.name))
    if best is None or counts is None:
        return
    title = f"Epoch {epoch}, {int(counts.sum()):,} images ({SELECTION})"
    _save_plot(folder, "confusion_matrix", lambda: plot_confusion_matrix(counts, labels.names, title))
    f1, precision, recall = (
        {name: best.get(f"val_emotion/{metric}/{name}", math.nan) for name in labels.names}
        for metric in PER_EMOTION
    )
    support = dict(zip(labels.names, counts.sum(1).tolist(), strict=True))
    _save_plot(folder, "per_emotion", lambda: plot_per_emotion(f1, precision, recall, support, title))


def _save_plot(folder: Path, name: str, plot: Callable[[], Figure]) -> None:
    with warn_on_failure(f"the plot {name}.png was not saved"):
        save_figure(plot(), folder / "plots" / f"{name}.png")


def print_summary(folder: Path, recorder: RunRecorder, labels: LabelSpace, seconds: float) -> None:
    """Print the metrics of the best epoch, the duration of the fit and the run folder."""
    # Names of folders and emotions are no markup.
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if recorder.best is not None and recorder.best_confusion is not None:
        _print_scores(console, recorder.best, recorder.best_confusion)
        console.print(_summary_table(recorder.best, recorder.best_confusion, labels))
    console.print(f"fit      {seconds:.1f} s")
    if recorder.rows:
        console.print(f"curves   {folder / 'plots' / 'learning_curves.png'}")
    console.print(f"run      {folder}")


def _print_scores(console: Console, best: dict[str, float], counts: np.ndarray) -> None:
    n = int(counts.sum())
    accuracy = accuracy_estimate(counts)
    console.print(
        f"\nBest epoch {int(best['epoch'])} ({SELECTION}, n = {n:,}, no test-time augmentation)\n"
        f"accuracy {best['val/accuracy']:.1%} [{accuracy.low:.1%}, {accuracy.high:.1%}]   "
        f"macro-F1 {best['val/macro_f1']:.1%}   UAR {best['val/uar']:.1%}   ECE {best['val/ece']:.1%}"
    )


def _summary_table(best: dict[str, float], counts: np.ndarray, labels: LabelSpace) -> Table:
    table = Table(
        "emotion", *(Column(name, justify="right") for name in ("images", *PER_EMOTION)), box=SIMPLE
    )
    for name, support in zip(labels.names, counts.sum(1), strict=True):
        cells = [f"{best[f'val_emotion/{metric}/{name}']:.1%}" if support else "-" for metric in PER_EMOTION]
        table.add_row(name, f"{support:,}", *cells)
    return table
