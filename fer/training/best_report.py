"""Images and tables in W&B and TensorBoard: augmented faces first, then those of each new best epoch."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from fer.analysis.plots.confusion import plot_confusion_matrix
from fer.analysis.plots.images import ImageStrip, plot_contact_sheet, plot_image_grid
from fer.analysis.plots.training import plot_per_emotion
from fer.core.text import percent
from fer.training.error_samples import ErrorFinder, ErrorSample
from fer.training.lightning_loggers import RunTensorBoardLogger, RunWandbLogger, picture_loggers
from fer.training.loggers import warn_on_failure
from fer.training.metrics import PER_EMOTION, best_name
from fer.training.recorder import SELECTION, RunRecorder
from fer.training.wandb_config import WandbConfig
from fer.training.wandb_media import checkpoint_artifact, confusion_chart, emotion_table, error_table

# Half the resolution of the images in plots/: sufficient for a dashboard.
_DPI = 100
AUGMENTATION_TITLE = "Training images (left) and augmented views"


@dataclass
class _Picture:
    """An image that is being rendered, and where it is to be logged."""

    loggers: Sequence[Any]
    name: str
    step: int
    epoch: int
    caption: str
    pixels: "Future[np.ndarray]"


class BestReport(Callback):
    """Log augmented faces at the start, plots and errors of each new best epoch, and its checkpoint.

    Rendering a plot takes longer than a validation on a GPU, so it is done in a thread during training.

    Args:
        loggers: Those of the run.
        recorder: Determines the best epoch; must come before this callback in the Trainer.
        options: What W&B gets; None without W&B. TensorBoard gets all but tables.
    """

    def __init__(self, loggers: list[Logger], recorder: RunRecorder, options: WandbConfig | None) -> None:
        self.recorder, self.options = recorder, options or WandbConfig()
        self.wandb = [logger for logger in loggers if isinstance(logger, RunWandbLogger)]
        self.plots = picture_loggers(loggers, self.options.plots)
        self.samples = picture_loggers(loggers, self.options.samples)
        self.errors = ErrorFinder()
        self._reported: dict[str, float] | None = None
        self._executor = ThreadPoolExecutor(1, "plots")
        # In the order of their steps.
        self._pictures: list[_Picture] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log augmented training images, unless the run is resumed."""
        if trainer.is_global_zero and self.samples and trainer.global_step == 0:
            with warn_on_failure("the augmented faces were not logged"):
                path = Path(trainer.default_root_dir) / "plots" / "augmentation.png"
                images = None if path.is_file() else _datamodule(trainer).augmented_examples()
                self._render(self.samples, "samples/augmentation", 0, 1, lambda: _augmentation(path, images))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Forget the predictions of the previous validation."""
        self.errors.clear()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Any], *_: Any, **__: Any
    ) -> None:
        """Collect the predictions."""
        if self.samples:
            self.errors.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the epoch if it is the best, and the images that have been rendered meanwhile."""
        if not self.recorder.is_late and not trainer.sanity_checking:
            self._log_epoch(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Do so if a training metric is monitored."""
        if self.recorder.is_late:
            self._log_epoch(trainer, pl_module)

    def _log_epoch(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        with warn_on_failure("tables and plots of an epoch were not logged"):
            self._log_rendered()
            best, counts = self.recorder.best, self.recorder.best_confusion
            if best is not None and counts is not None and best is not self._reported:
                self._reported = best
                self._log_best(best, counts, pl_module.labels.names, trainer)
        self.errors.clear()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the remaining images, and the best checkpoint with its metrics and data manifest."""
        self._log_remaining()
        path = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.options.log_model and trainer.is_global_zero and path:
            metadata = {"best": self.recorder.best, "manifest": dict(pl_module.hparams["manifest"])}
            for logger in self.wandb:
                with warn_on_failure("W&B: the best checkpoint was not logged"):
                    artifact = checkpoint_artifact(Path(path), logger.experiment.name, metadata)
                    logger.experiment.log_artifact(artifact, aliases=["best"])

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Log the remaining images."""
        self._log_remaining()

    def _log_best(
        self, best: dict[str, float], counts: np.ndarray, names: Sequence[str], trainer: pl.Trainer
    ) -> None:
        step, epoch = trainer.global_step, int(best["epoch"])
        for logger in self.wandb:
            logger.experiment.summary.update({best_name(name): value for name, value in best.items()})
        if epoch != trainer.current_epoch + 1:
            # The best epoch was before the run was resumed, and its images have been logged.
            return
        title = f"Epoch {epoch}, {int(counts.sum()):,} images ({SELECTION})"
        errors = self.errors.find(_datamodule(trainer).data.images, names) if self.samples else []
        for logger in self.wandb:
            tables: dict[str, Any] = {}
            if self.options.plots:
                tables["plots/confusion_chart"] = confusion_chart(counts, names, SELECTION)
                tables["plots/scores"] = emotion_table(best, counts, names)
            if errors and self.options.samples:
                tables["samples/errors"] = error_table(errors)
            if tables:
                logger.log_row(tables, step, epoch)
        if self.plots:
            self._render(self.plots, "plots/confusion_matrix", step, epoch,
                         lambda: plot_confusion_matrix(counts, names, title), title)  # fmt: skip
            self._render(self.plots, "plots/per_emotion", step, epoch,
                         lambda: _per_emotion(best, counts, names, title), title)  # fmt: skip
        sheets = [logger for logger in self.samples if isinstance(logger, RunTensorBoardLogger)]
        if sheets and errors:
            self._render(sheets, "samples/errors", step, epoch, lambda: _error_sheet(errors, epoch))

    def _render(
        self, loggers: Sequence[Any], name: str, step: int, epoch: int,
        draw: Callable[[], Figure | np.ndarray], caption: str = "",
    ) -> None:  # fmt: skip
        future = self._executor.submit(lambda: _pixels(draw()))
        self._pictures.append(_Picture(loggers, name, step, epoch, caption, future))

    def _log_rendered(self) -> None:
        """Log the finished images; loggers are called from the main thread only."""
        while self._pictures and self._pictures[0].pixels.done():
            picture = self._pictures.pop(0)
            pixels = picture.pixels.result()
            for logger in picture.loggers:
                logger.log_picture(picture.name, pixels, picture.step, picture.epoch, picture.caption)

    def _log_remaining(self) -> None:
        # Waits for the images that are being rendered.
        self._executor.shutdown()
        while self._pictures:
            with warn_on_failure("an image was not logged"):
                self._log_rendered()


def _datamodule(trainer: pl.Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def _augmentation(path: Path, images: np.ndarray | None) -> Figure | np.ndarray:
    """Return the saved plot of augmented faces, at the resolution of the others, or draw it."""
    if images is not None:
        return plot_image_grid(images, None, 8, AUGMENTATION_TITLE)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").reduce(2))


def _per_emotion(best: Mapping[str, float], counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    f1, precision, recall = (
        {name: best.get(f"val_emotion/{metric}/{name}", np.nan) for name in names} for metric in PER_EMOTION
    )
    support = dict(zip(names, counts.sum(1).tolist(), strict=True))
    return plot_per_emotion(f1, precision, recall, support, title)


def _error_sheet(errors: Sequence[ErrorSample], epoch: int) -> Figure:
    """Return the errors as images with captions."""
    captions = [
        [f"{error.predicted} {percent(error.confidence, 0)}", f"label {error.true}", f"row {error.index}"]
        for error in errors
    ]
    strip = ImageStrip("", np.stack([error.image for error in errors]), captions)
    title = f"Errors of epoch {epoch} ({SELECTION})"
    subtitle = "The most certain and those with the highest loss: prediction, label, row in the data set"
    return plot_contact_sheet([strip], 8, title, subtitle)


def _pixels(drawn: Figure | np.ndarray) -> np.ndarray:
    """Return a figure as uint8 ``(H, W, 3)``."""
    if isinstance(drawn, np.ndarray):
        return drawn
    drawn.set_dpi(_DPI)
    drawn.canvas.draw()
    return np.asarray(drawn.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
