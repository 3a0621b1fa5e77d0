"""Lightning's loggers of a run, for TensorBoard and W&B: opened if configured, and always closed.

A logger that cannot be opened is an error before the training. If it fails later, that is a warning: the
training continues, and its results are in the run folder.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from fer.core.errors import FerError
from fer.training.config import LoggerConfig, WandbConfig
from fer.training.loggers import DEFAULT_PROJECT, finish_wandb, first_line, start_wandb, warn_on_failure


class _WarningLogger(Logger):
    """Logger that prints the first failure of each kind as a warning."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._printed: set[str] = set()
        super().__init__(*arguments, **options)

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        """Log the config of the run."""
        with self._warning("the config was not logged"):
            super().log_hyperparams(*arguments, **options)  # type: ignore[safe-super]

    def log_metrics(self, *arguments: Any, **options: Any) -> None:
        """Log metrics at a step."""
        with self._warning("metrics were not logged"):
            super().log_metrics(*arguments, **options)  # type: ignore[safe-super]

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


class RunTensorBoardLogger(_WarningLogger, TensorBoardLogger):
    """TensorBoard of a run."""


class RunWandbLogger(_WarningLogger, WandbLogger):
    """W&B run of a run."""


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
    run: Any = start_wandb(options, folder, run_config, run_id) if is_first else None
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


def log_plots(loggers: list[Logger], folder: Path, step: int) -> None:
    """Log images from ``plots/``.

    TensorBoard gets the confusion matrix and the learning curves. W&B gets only the curves, because
    `fer.training.recorder.WandbReport` logs the other plots during training.

    Args:
        loggers: The loggers of the run.
        folder: The run folder, with its plots saved.
        step: Number of optimizer steps.
    """
    paths = [folder / "plots" / f"{name}.png" for name in ("confusion_matrix", "learning_curves")]
    for logger, path in product(loggers, filter(Path.exists, paths)):
        with warn_on_failure(f"{type(logger).__name__}: the plot {path.name} was not logged"):
            _log_plot(logger, path, step)


def _log_plot(logger: Any, path: Path, step: int) -> None:
    run = logger.experiment
    if isinstance(logger, TensorBoardLogger):
        run.add_image(path.stem, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")
    elif path.stem == "learning_curves":
        import wandb

        run.log({path.stem: wandb.Image(str(path)), "trainer/global_step": step})
