"""What W&B shows beyond curves: confusion matrix, table of emotions, best figures, the best checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.callbacks import RunRecorder

COLUMNS = ("emotion", "precision", "recall", "f1", "support")


class WandbReport(Callback):
    """Send pictures and tables to W&B whenever a new best epoch is reached, the checkpoint at the end.

    Args:
        logger: The run's W&B logger.
        recorder: It knows the best epoch; must come before this callback.
        log_model: Send the best checkpoint as an artifact.
    """

    def __init__(self, logger: WandbLogger, recorder: RunRecorder, log_model: bool) -> None:
        self.logger, self.recorder, self.log_model = logger, recorder, log_model

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draw the best epoch, if this is it."""
        best = self.recorder.best
        if not trainer.is_global_zero or best is None or best["epoch"] != trainer.current_epoch + 1:
            return
        names, counts = pl_module.labels.names, pl_module.confusion
        charts = {
            "val/confusion_chart": _confusion_chart(counts, names),
            "val/confusion_picture": _confusion_picture(counts, names, int(best["epoch"])),
            "val/emotions": _emotion_table(best, counts, names),
        }
        self.logger.experiment.log(charts | {"trainer/global_step": trainer.global_step})
        self.logger.experiment.summary.update(
            {name.replace("val/", "best/"): value for name, value in best.items()}
        )

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Send the best checkpoint, with its figures and what it was trained on."""
        path = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.log_model and trainer.is_global_zero and path:
            self._send_checkpoint(Path(path), pl_module)

    def _send_checkpoint(self, path: Path, pl_module: Any) -> None:
        import wandb

        run = self.logger.experiment
        metadata = {"best": self.recorder.best, "manifest": dict(pl_module.hparams["manifest"])}
        artifact = wandb.Artifact(f"{run.name}-best", type="model", metadata=metadata)
        artifact.add_file(str(path), name="best.ckpt")
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
        title="validation, selection split",
    )


def _confusion_picture(counts: np.ndarray, names: tuple[str, ...], epoch: int) -> Any:
    import wandb

    return wandb.Image(render(plot_confusion_matrix(counts, names, f"Validation, epoch {epoch}")))


def _emotion_table(best: dict[str, float], counts: np.ndarray, names: tuple[str, ...]) -> Any:
    import wandb

    rows = [
        [name, *(best[f"val/{column}/{name}"] for column in COLUMNS[1:4]), int(counts[i].sum())]
        for i, name in enumerate(names)
    ]
    return wandb.Table(columns=list(COLUMNS), data=rows)


def render(figure: Any) -> np.ndarray:
    """Return a figure as uint8 ``(H, W, 3)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
