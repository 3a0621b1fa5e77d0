"""Printed header and summary of a run, and its plots."""

import math
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.analysis.intervals import wilson_interval
from fer.analysis.plots import plot_learning_curves, plot_per_emotion, save_figure
from fer.data.datamodule import EmotionDataModule
from fer.data.duplicates import format_summary
from fer.labels import LabelSpace
from fer.models import count_parameters
from fer.module import EmotionModule
from fer.training.recorder import RunRecorder

# Shown with all metrics of the split that selected the epoch: they are biased upwards.
SELECTION = "validation, selection split"
METRICS = ("f1", "precision", "recall")


@rank_zero_only
def print_header(
    module: EmotionModule, datamodule: EmotionDataModule, trainer: pl.Trainer, checkpoint: Path | None
) -> None:
    """Print model, data and precision before the first epoch."""
    sizes = ", ".join(f"{len(rows):,} {role}" for role, rows in datamodule.rows.items())
    model = module.config["model"]
    print(
        f"{model['name']}, {count_parameters(module.model):,} parameters, {model['image_size']} px, "
        f"{trainer.precision}; {datamodule.data.source}: {sizes} images",
        flush=True,
    )
    print(*format_summary(datamodule.duplicates), sep="", end="", flush=True)
    for rule, count in datamodule.data.dropped.items():
        print(f"dropped {count:,} images: {rule}", flush=True)
    if checkpoint is not None:
        print(f"resuming from {checkpoint}", flush=True)


def save_plots(folder: Path, recorder: RunRecorder, labels: LabelSpace) -> None:
    """Save the learning curves and, of the best epoch, confusion matrix and metrics per emotion."""
    if not recorder.rows:
        return
    best, plots = recorder.best, folder / "plots"
    epoch = int(best["epoch"]) if best else None
    save_figure(plot_learning_curves(recorder.rows, epoch, folder.name), plots / "learning_curves.png")
    if best is None or recorder.best_confusion is None:
        return
    counts = recorder.best_confusion
    title = f"Epoch {epoch}, {int(counts.sum()):,} images ({SELECTION})"
    save_figure(plot_confusion_matrix(counts, labels.names, title), plots / "confusion_matrix.png")
    f1, precision, recall = (
        {name: best.get(f"val/{metric}/{name}", math.nan) for name in labels.names} for metric in METRICS
    )
    support = dict(zip(labels.names, counts.sum(1).tolist(), strict=True))
    save_figure(plot_per_emotion(f1, precision, recall, support, title), plots / "per_emotion.png")


def print_summary(folder: Path, recorder: RunRecorder, labels: LabelSpace, seconds: float) -> None:
    """Print the metrics of the best epoch and the run folder.

    Args:
        folder: The run folder.
        recorder: Of the run's metrics.
        labels: Label space of the model.
        seconds: Duration of the fit.
    """
    console = Console(highlight=False, soft_wrap=True)
    if recorder.best is not None and recorder.best_confusion is not None:
        _print_scores(console, recorder.best, recorder.best_confusion)
        console.print(_summary_table(recorder.best, recorder.best_confusion, labels))
    console.print(f"fit      {seconds:.1f} s")
    if recorder.rows:
        console.print(f"curves   {folder / 'plots' / 'learning_curves.png'}")
    console.print(f"run      {folder}")


def _print_scores(console: Console, best: dict[str, float], counts: np.ndarray) -> None:
    n = int(counts.sum())
    low, high = wilson_interval(counts.trace(), n)
    console.print(
        f"\nBest epoch {int(best['epoch'])} ({SELECTION}, n = {n:,}, no test-time augmentation)\n"
        f"accuracy {best['val/accuracy']:.1%} [{low:.1%}, {high:.1%}]   "
        f"macro-F1 {best['val/macro_f1']:.1%}   UAR {best['val/uar']:.1%}   ECE {best['val/ece']:.1%}"
    )


def _summary_table(best: dict[str, float], counts: np.ndarray, labels: LabelSpace) -> Table:
    table = Table("emotion", *(Column(name, justify="right") for name in ("images", *METRICS)), box=SIMPLE)
    for name, support in zip(labels.names, counts.sum(1), strict=True):
        cells = [f"{best[f'val/{metric}/{name}']:.1%}" if support else "-" for metric in METRICS]
        table.add_row(name, f"{support:,}", *cells)
    return table
