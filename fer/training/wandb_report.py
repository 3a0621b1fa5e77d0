"""What W&B shows besides metrics: confusion matrix, table of emotions, best metrics, best checkpoint."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.training.recorder import RunRecorder
from fer.training.summary import SELECTION

COLUMNS = ("emotion", "precision", "recall", "f1", "support")
# Half the resolution of the images in plots/: sufficient for a dashboard.
DPI = 100
STEP = "trainer/global_step"


class WandbReport(Callback):
    """Log plots and tables to W&B at each new best epoch, and the best checkpoint at the end.

    Rendering a plot takes longer than a validation on a GPU, so it is done in a thread during training.

    Args:
        logger: The run's W&B logger.
        recorder: Knows the best epoch; must come before this callback.
        log_model: Upload the best checkpoint as an artifact.
    """

    def __init__(self, logger: WandbLogger, recorder: RunRecorder, log_model: bool) -> None:
        self.logger, self.recorder, self.log_model = logger, recorder, log_model
        self._reported: dict[str, float] | None = None
        self._executor = ThreadPoolExecutor(1, "confusion-plot")
        # (step, image) in order of the steps
        self._images: list[tuple[int, Future[Any]]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the epoch if it is the best, and the images that have been rendered meanwhile."""
        if not trainer.is_global_zero:
            return
        self._log_rendered_images()
        best = self.recorder.best
        if best is not None and best is not self._reported:
            self._reported = best
            assert self.recorder.best_confusion is not None
            self._log_best(best, self.recorder.best_confusion, pl_module.labels.names, trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the remaining images, and the best checkpoint with its metrics and data manifest."""
        self._log_remaining_images()
        path = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.log_model and trainer.is_global_zero and path:
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
        run.log(tables | {STEP: step})
        run.summary.update({f"best/{name.removeprefix('val/')}": value for name, value in best.items()})
        image = self._executor.submit(_confusion_image, counts, names, int(best["epoch"]))
        self._images.append((step, image))

    def _log_rendered_images(self) -> None:
        """Log the finished images; W&B is called from the main thread only."""
        while self._images and self._images[0][1].done():
            step, image = self._images.pop(0)
            self.logger.experiment.log({"val/confusion_picture": image.result(), STEP: step})

    def _log_remaining_images(self) -> None:
        # waits for the images in work
        self._executor.shutdown()
        self._log_rendered_images()

    def _log_checkpoint(self, path: Path, pl_module: Any) -> None:
        import wandb

        run = self.logger.experiment
        metadata = {"best": self.recorder.best, "manifest": dict(pl_module.hparams["manifest"])}
        artifact = wandb.Artifact(f"{run.name}-best", type="model", metadata=metadata)
        # The file is not copied, neither in the run folder nor in W&B's cache.
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
    return wandb.Image(render_figure(plot_confusion_matrix(counts, names, title)), caption=title)


def _emotion_table(best: dict[str, float], counts: np.ndarray, names: tuple[str, ...]) -> Any:
    import wandb

    rows = [
        [name, *(best.get(f"val/{column}/{name}") for column in COLUMNS[1:4]), int(counts[i].sum())]
        for i, name in enumerate(names)
    ]
    return wandb.Table(columns=list(COLUMNS), data=rows)


def render_figure(figure: Any) -> np.ndarray:
    """Return a figure as uint8 ``(H, W, 3)``."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
