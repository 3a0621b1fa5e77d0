"""Lightning's loggers of a run, for TensorBoard and W&B: opened if configured, and always closed.

A logger that cannot be opened is an error before the training. If it fails later, that is a warning: the
training continues, and its results are in the run folder.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from fer.core.errors import FerError
from fer.core.registry import METRICS
from fer.training.config import LoggerConfig
from fer.training.loggers import DEFAULT_PROJECT, finish_wandb, first_line, start_wandb, warn_on_failure
from fer.training.metrics import OVERALL, PER_EMOTION, monitor_mode
from fer.training.wandb_config import WandbConfig

# Lightning's name of the number of optimizer steps.
STEP = "trainer/global_step"


class _RunLogger(Logger):
    """Logger of a run: a failure is a warning, and steps and epochs are counted as everywhere else.

    Lightning counts epochs from 0, and its step of a metric is one less than the number of optimizer steps.

    Attributes:
        trainer: Set at the start of a fit, for the number of steps.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._printed: set[str] = set()
        self.trainer: pl.Trainer | None = None
        super().__init__(*arguments, **options)

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        """Log the config of the run."""
        with self._warning("the config was not logged"):
            super().log_hyperparams(*arguments, **options)  # type: ignore[safe-super]

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics at the current optimizer step; an ``epoch`` among them is counted from 0."""
        shown = {**metrics, "epoch": metrics["epoch"] + 1} if "epoch" in metrics else dict(metrics)
        step = step if self.trainer is None else self.trainer.global_step
        with self._warning("metrics were not logged"):
            super().log_metrics(shown, step)  # type: ignore[safe-super]

    def log_picture(self, name: str, pixels: np.ndarray, step: int, epoch: int, caption: str = "") -> None:
        """Log an image, uint8 ``(H, W, 3)``, at a step; ``epoch`` is counted from 1."""
        raise NotImplementedError

    def save(self) -> None:
        """Write what is buffered."""
        with self._warning("its files were not written"):
            super().save()

    def finalize(self, *arguments: Any) -> None:
        """End the logging of a fit."""
        with self._warning("the end of the fit was not logged"):
            super().finalize(*arguments)

    def _warning(self, what: str) -> AbstractContextManager[None]:
        system = type(self).__name__.removeprefix("Run").removesuffix("Logger")
        return warn_on_failure(f"{system}: {what}", self._printed)


class RunTensorBoardLogger(_RunLogger, TensorBoardLogger):
    """TensorBoard of a run."""

    def log_picture(self, name: str, pixels: np.ndarray, step: int, epoch: int, caption: str = "") -> None:
        """Log an image; TensorBoard has no captions."""
        self.experiment.add_image(name, pixels, step, dataformats="HWC")


class RunWandbLogger(_RunLogger, WandbLogger):
    """W&B run of a run."""

    def log_picture(self, name: str, pixels: np.ndarray, step: int, epoch: int, caption: str = "") -> None:
        """Log an image in a row of its own, with the step and the epoch of its metrics."""
        import wandb

        self.log_row({name: wandb.Image(pixels, caption=caption or None)}, step, epoch)

    def log_row(self, values: Mapping[str, Any], step: int, epoch: int) -> None:
        """Log tables, charts and images, with the step and the epoch of their metrics."""
        self.experiment.log({**values, STEP: step, "epoch": epoch})


@contextmanager
def open_loggers(
    config: LoggerConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None
) -> Iterator[list[Logger]]:
    """Yield the loggers of a run and close them at the end; W&B marks the run as failed after an exception.

    A logger that fails later prints a warning, and the training continues.

    Args:
        config: Which loggers.
        folder: The run folder, where all local files are written.
        run_config: The config that W&B shows for the run.
        run_id: Id of the run, also in W&B.

    Raises:
        FerError: A logger cannot be opened.
    """
    loggers: list[Any] = []
    with ExitStack() as stack:
        if config.tensorboard:
            loggers.append(_open_tensorboard(folder))
            stack.callback(_close_tensorboard, loggers[0])
        if config.wandb is not None:
            loggers.append(_open_wandb(config.wandb, folder, run_config, run_id))
            stack.push(lambda error, *_: finish_wandb(loggers[-1].experiment, failed=error is not None))
        yield loggers


def prepare_loggers(trainer: pl.Trainer, emotions: Sequence[str]) -> None:
    """Let the loggers count steps as the trainer does, and define axes and summary of W&B's metrics."""
    for logger in trainer.loggers:
        if isinstance(logger, _RunLogger):
            logger.trainer = trainer
        if isinstance(logger, RunWandbLogger) and trainer.is_global_zero:
            # With several validations per epoch, the number of the epoch is no axis.
            axis = "epoch" if trainer.val_check_interval in (None, 1.0) else STEP
            with warn_on_failure("W&B: the axes of metrics were not defined"):
                _define_metrics(logger.experiment, axis, emotions)


def _define_metrics(run: Any, axis: str, emotions: Sequence[str]) -> None:
    """Define the x-axis of charts, and the best value of each metric as its summary."""
    for step in (STEP, "epoch"):
        run.define_metric(step, hidden=True)
    run.define_metric("*", step_metric=STEP)
    # W&B plans a sweep by the value that has the name of the metric itself; `log_best_values` sets it.
    has_summary = run.sweep_id is None
    # A pattern cannot define a summary.
    for name, mode in _best_modes(emotions).items():
        run.define_metric(name, step_metric=axis, summary=mode if has_summary else None)


def _best_modes(emotions: Sequence[str]) -> dict[str, str]:
    """Return metric -> ``min`` or ``max``, of all metrics with a best value in W&B's summary."""
    registered = [f"val/{entry.name}" for entry in METRICS.plugins()]
    by_emotion = [f"val_emotion/{metric}/{name}" for metric in PER_EMOTION for name in emotions]
    modes = {name: monitor_mode(name) for name in (*OVERALL, *registered, *by_emotion)}
    return {"train/loss": "min", "train/accuracy": "max", **modes}


def _open_tensorboard(folder: Path) -> Logger:
    logger = RunTensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)
    try:
        # Creates the file.
        _ = logger.experiment
    except Exception as error:
        raise FerError(
            f"logger=tensorboard: expected a folder to write to, got an error for {logger.log_dir}: "
            f"{first_line(error)}. Choose another folder, or logger=csv."
        ) from error
    return logger


def _close_tensorboard(logger: Any) -> None:
    with warn_on_failure("TensorBoard: its file was not closed"):
        logger.experiment.close()


def _open_wandb(
    options: WandbConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None
) -> Logger:
    # Of several processes only the first has a W&B run; Lightning gives the others a dummy.
    is_first = getattr(rank_zero_only, "rank", 0) == 0
    run: Any = start_wandb(options, folder, run_config, run_id, options.console) if is_first else None
    return RunWandbLogger(save_dir=str(folder), project=DEFAULT_PROJECT, experiment=run)


def logged_run(loggers: list[Logger]) -> dict[str, str | None] | None:
    """Return ``id``, ``project`` and ``entity`` of the W&B run that is logged to; None without W&B.

    They are stored in the record, so that the W&B run is found again under another environment.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger) and not getattr(run := logger.experiment, "disabled", True):
            return {"id": run.id, "project": run.project, "entity": run.entity or None}
    return None


def log_status(loggers: list[Logger], status: str) -> None:
    """Log the final status to W&B: ``finished``, ``pruned``, ``failed`` or ``interrupted``."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            with warn_on_failure("W&B: the status was not logged"):
                logger.experiment.summary["status"] = status


def log_writers(loggers: list[Logger], options: WandbConfig | None) -> list[Callable[[str], None]]:
    """Return functions that write a line to the log of a W&B run, if it records what the run prints."""
    is_on = options is not None and options.console
    return [
        logger.experiment.write_logs
        for logger in loggers
        if is_on and isinstance(logger, RunWandbLogger) and getattr(rank_zero_only, "rank", 0) == 0
    ]


def log_best_values(
    loggers: list[Logger], rows: Sequence[Mapping[str, float]], emotions: Sequence[str]
) -> None:
    """Log the best value of each metric to W&B's summary at the end of a run.

    W&B knows neither the epochs before an offline run was resumed, nor, in a sweep that it plans, the best.

    Args:
        loggers: The loggers of the run.
        rows: Metrics of all epochs.
        emotions: The emotions.
    """
    for logger in loggers:
        if isinstance(logger, RunWandbLogger):
            with warn_on_failure("W&B: the best values were not logged"):
                run, found = logger.experiment, {}
                for name, mode in _best_modes(emotions).items():
                    logged = run.summary.get(name)
                    values = [row[name] for row in rows if name in row]
                    # With several validations per epoch, the rows have the last one only.
                    values += [logged[mode]] if isinstance(logged, Mapping) and mode in logged else []
                    if values := [value for value in values if math.isfinite(value)]:
                        best = min(values) if mode == "min" else max(values)
                        found[name] = best if run.sweep_id else {mode: best}
                run.summary.update(found)


def log_curves(loggers: list[Logger], folder: Path, step: int, epoch: int, with_wandb: bool) -> None:
    """Log the learning curves at the end as ``plots/learning_curves``.

    Args:
        loggers: The loggers of the run.
        folder: The run folder, with its plots saved.
        step: Number of optimizer steps.
        epoch: Number of epochs.
        with_wandb: ``logger.wandb.plots``.
    """
    path = folder / "plots" / "learning_curves.png"
    for logger in picture_loggers(loggers, with_wandb):
        with warn_on_failure(f"{type(logger).__name__}: the plot {path.name} was not logged"):
            if path.exists():
                pixels = np.asarray(Image.open(path).convert("RGB"))
                logger.log_picture("plots/learning_curves", pixels, step, epoch)


def picture_loggers(loggers: list[Logger], with_wandb: bool) -> list[_RunLogger]:
    """Return the loggers of a run that show images; W&B only ``with_wandb``."""
    return [
        logger
        for logger in loggers
        if isinstance(logger, RunTensorBoardLogger) or (with_wandb and isinstance(logger, RunWandbLogger))
    ]
