"""What W&B shows beyond curves: confusion matrix, table of emotions, best figures, the best checkpoint."""

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
DPI = 100  # a quarter of the pixels of the picture in plots/: it is looked at in a dashboard
STEP = "trainer/global_step"


class WandbReport(Callback):
    """Send pictures and tables to W&B whenever a new best epoch is reached, the checkpoint at the end.

    A picture takes longer than a validation on a GPU, so it is drawn beside the training.

    Args:
        logger: The run's W&B logger.
        recorder: It knows the best epoch; must come before this callback.
        log_model: Send the best checkpoint as an artifact.
    """

    def __init__(self, logger: WandbLogger, recorder: RunRecorder, log_model: bool) -> None:
        self.logger, self.recorder, self.log_model = logger, recorder, log_model
        self._reported: dict[str, float] | None = None
        self._painter = ThreadPoolExecutor(1, "confusion-picture")
        self._pictures: list[tuple[int, Future[Any]]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report the epoch if it is the best; send the pictures that have been drawn since."""
        if not trainer.is_global_zero:
            return
        self._send_pictures()
        best = self.recorder.best
        if best is not None and best is not self._reported:
            self._reported = best
            assert self.recorder.best_confusion is not None
            self._report(best, self.recorder.best_confusion, pl_module.labels.names, trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Send what is left to send, and the best checkpoint with its figures and what it was trained on."""
        self._finish_pictures()
        path = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.log_model and trainer.is_global_zero and path:
            self._send_checkpoint(Path(path), pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Send the pictures of the epochs before."""
        self._finish_pictures()

    def _report(self, best: dict[str, float], counts: np.ndarray, names: tuple[str, ...], step: int) -> None:
        run = self.logger.experiment
        tables = {
            "val/confusion_chart": _confusion_chart(counts, names),
            "val/emotions": _emotion_table(best, counts, names),
        }
        run.log(tables | {STEP: step})
        run.summary.update({f"best/{name.removeprefix('val/')}": value for name, value in best.items()})
        picture = self._painter.submit(_confusion_picture, counts, names, int(best["epoch"]))
        self._pictures.append((step, picture))

    def _send_pictures(self) -> None:
        """Send those that are ready: W&B is talked to from this thread alone."""
        while self._pictures and self._pictures[0][1].done():
            step, picture = self._pictures.pop(0)
            self.logger.experiment.log({"val/confusion_picture": picture.result(), STEP: step})

    def _finish_pictures(self) -> None:
        self._painter.shutdown()  # waits for them
        self._send_pictures()

    def _send_checkpoint(self, path: Path, pl_module: Any) -> None:
        import wandb

        run = self.logger.experiment
        metadata = {"best": self.recorder.best, "manifest": dict(pl_module.hparams["manifest"])}
        artifact = wandb.Artifact(f"{run.name}-best", type="model", metadata=metadata)
        # The file stays as it is: no second copy of it in the run folder, none in W&B's cache.
        artifact.add_file(str(path), name="best.ckpt", policy="immutable", skip_cache=True)
        run.log_artifact(artifact, aliases=["best"])


def _confusion_chart(counts: np.ndarray, names: tuple[str, ...]) -> Any:
    """Return W&B's own interactive confusion matrix."""
    import wandb

    true, predicted = np.indices(counts.shape)
    flat = counts.ravel()
    return wandb.plot.confusion_matrix(
        y_true=np.repeat(true.ravel(), flat).tolist(),
        preds=np.repeat(predicted.ravel(), flat).tolist(),
        class_names=list(names),
        title=SELECTION,
    )


def _confusion_picture(counts: np.ndarray, names: tuple[str, ...], epoch: int) -> Any:
    import wandb

    title = f"Epoch {epoch}, {int(counts.sum()):,} images ({SELECTION})"
    return wandb.Image(render(plot_confusion_matrix(counts, names, title)), caption=title)


def _emotion_table(best: dict[str, float], counts: np.ndarray, names: tuple[str, ...]) -> Any:
    import wandb

    rows = [
        [name, *(best.get(f"val/{column}/{name}") for column in COLUMNS[1:4]), int(counts[i].sum())]
        for i, name in enumerate(names)
    ]
    return wandb.Table(columns=list(COLUMNS), data=rows)


def render(figure: Any) -> np.ndarray:
    """Return a figure as uint8 ``(H, W, 3)``."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
