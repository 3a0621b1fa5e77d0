"""Lightning's Trainer for a run: callbacks, devices, precision, checks of options, and readable errors."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    DeviceStatsMonitor,
    EarlyStopping,
    LearningRateMonitor,
    ProgressBar,
)
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from fer.core.errors import FerError
from fer.data.datamodule import EmotionDataModule
from fer.training.averaging import ExponentialAverage, StochasticAverage
from fer.training.best_report import BestReport
from fer.training.callbacks import (
    BusyCoresWarning,
    FiniteLoss,
    FrozenBackbone,
    RestoreEarlyStop,
    SeedEpoch,
    ValidateAtMaxSteps,
    checkpoint_callbacks,
)
from fer.training.config import RunConfig, TrainerConfig
from fer.training.finish import check_test
from fer.training.lightning_loggers import log_writers
from fer.training.metrics import is_known_after_validation
from fer.training.module import EmotionModule
from fer.training.precision import choose_precision
from fer.training.profile import build_profiler
from fer.training.progress import DurationEstimate, EpochBar, EpochPrinter, TrainMetricsLogger
from fer.training.recorder import RunRecorder
from fer.training.step_metrics import StepMetrics

# Part of a message of Lightning or torch -> the option that causes it.
_ERROR_CAUSES = {
    "val_check_interval": "trainer",
    "Early stopping conditioned": "early_stopping_patience needs a validation, but none ran",
    "Expected more than 1 value": "datamodule.batch_size: batch norm needs at least two images of this size",
}
_CLUSTERS = (SLURMEnvironment, TorchElasticEnvironment, LSFEnvironment, MPIEnvironment)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Messages of gloo and NCCL about a lost process.
_LOST_PROCESS = r"[Cc]onnection (closed|reset|refused)|[Bb]roken pipe|NCCL"


def build_trainer(
    config: RunConfig,
    folder: Path,
    loggers: list[Logger],
    recorder: RunRecorder,
    model: nn.Module,
    extra_callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    profiler: Profiler | None = None,
) -> pl.Trainer:
    """Build Lightning's Trainer; all of ``config.trainer`` is passed to it.

    Args:
        config: The config of the run.
        folder: The run folder.
        loggers: Open loggers.
        recorder: Recorder of the run's metrics.
        model: The network; precision ``auto`` depends on it.
        extra_callbacks: Callbacks in addition to those of the config.
        quiet: Show no progress.
        profiler: Replaces that of the config.

    Raises:
        FerError: The Trainer rejects an option.
    """
    trainer = config.trainer
    if trainer.barebones:
        loggers, callbacks = [], [SeedEpoch(config.seed), *extra_callbacks]
    else:
        callbacks = [*_callbacks(config, folder, loggers, recorder, quiet), *extra_callbacks]
    options = {
        **trainer.to_dict(),
        "profiler": build_profiler(trainer.profiler, profiler, folder),
        "precision": choose_precision(trainer.precision, trainer.accelerator, model),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        # The DataModule shards the data; Lightning's sampler would repeat images.
        "use_distributed_sampler": False,
    }
    _check_devices(trainer)
    try:
        return pl.Trainer(**options, logger=loggers or False, callbacks=callbacks, default_root_dir=folder)
    except (MisconfigurationException, AttributeError, TypeError, ValueError) as error:
        raise FerError(f"trainer: {error}") from error


def check_cluster(config: TrainerConfig) -> None:
    """Check that something says which of several nodes this is; otherwise Lightning would wait for minutes.

    Raises:
        FerError: Nothing does.
    """
    is_set = {"MASTER_ADDR", "NODE_RANK"} <= os.environ.keys()
    if config.num_nodes > 1 and not is_set and not any(cluster.detect() for cluster in _CLUSTERS):
        nodes = config.num_nodes
        raise FerError(
            f"trainer.num_nodes: expected a cluster that starts {nodes} nodes, got none. Start the same "
            f"command on each node with torchrun --no-python --nnodes={nodes} --nproc-per-node=GPUS "
            "--rdzv-backend=c10d --rdzv-endpoint=HOST:29500 fer-train …, with srun under Slurm, or with "
            "MASTER_ADDR, MASTER_PORT and NODE_RANK set."
        )


def _check_devices(config: TrainerConfig) -> None:
    """Raise FerError for a missing GPU, and for more CPU processes than cores, which Lightning allows."""
    if config.accelerator in ("gpu", "cuda") and not (torch.cuda.is_available() or torch.mps.is_available()):
        raise FerError(
            f"trainer.accelerator: expected a device of this machine, got {config.accelerator}, but torch "
            "finds no GPU. Use trainer=cpu, or install torch for your GPU."
        )
    cores, devices = os.cpu_count() or 1, config.devices
    on_cpu = config.accelerator == "cpu" or not torch.cuda.is_available()
    if on_cpu and isinstance(devices, int) and devices > cores:
        raise FerError(
            f"trainer.devices: expected at most {cores}, the CPU cores of this machine, got {devices}."
        )


def _callbacks(
    config: RunConfig, folder: Path, loggers: list[Logger], recorder: RunRecorder, quiet: bool
) -> list[Callback]:
    """Return the callbacks of a config in the order in which Lightning has to call them."""
    monitor = config.monitor
    callbacks: list[Callback] = [SeedEpoch(config.seed), FiniteLoss(), ValidateAtMaxSteps()]
    callbacks += [TrainMetricsLogger(), recorder]
    if loggers:
        callbacks.append(StepMetrics(config.trainer.log_every_n_steps))
        callbacks.append(BestReport(loggers, recorder, config.logger.wandb))
    if config.model.freeze_epochs:
        callbacks.append(FrozenBackbone(config.model.freeze_epochs))
    if config.ema:
        callbacks.append(ExponentialAverage(config.ema_decay))
    if config.callbacks.swa is not None:
        callbacks.append(StochasticAverage(config.callbacks.swa.start))
    if loggers and config.callbacks.lr_monitor:
        callbacks.append(LearningRateMonitor("step", log_momentum=True))
    if loggers and config.callbacks.device_stats:
        callbacks.append(DeviceStatsMonitor(cpu_stats=True))
    if config.early_stopping_patience is not None:
        patience, mode = config.early_stopping_patience, config.mode
        callbacks.append(_early_stopping(monitor, patience, mode))
        callbacks.append(RestoreEarlyStop())
    if config.trainer.enable_checkpointing is not False:
        callbacks += checkpoint_callbacks(
            folder / "checkpoints", monitor, config.mode, config.trainer.check_val_every_n_epoch or 1
        )
    if config.trainer.enable_progress_bar is not False and not quiet:
        callbacks.append(EpochBar(leave=True) if sys.stdout.isatty() else EpochPrinter(monitor))
        callbacks += [DurationEstimate(config.model.freeze_epochs), BusyCoresWarning()]
    if quiet:
        # A trial of a sweep prints nothing that W&B could capture.
        callbacks += [EpochPrinter(monitor, write) for write in log_writers(loggers, config.logger.wandb)]
    return callbacks


def _early_stopping(monitor: str, patience: int, mode: str) -> Callback:
    late = True if is_known_after_validation(monitor) else None
    return EarlyStopping(
        monitor, patience=patience, mode=mode, check_finite=False, check_on_train_epoch_end=late
    )


def check_compatibility(config: RunConfig, module: EmotionModule, datamodule: EmotionDataModule) -> None:
    """Check that the options are compatible with each other and with the data, before the first epoch.

    Raises:
        FerError: Two options exclude each other, or the data lacks what an option needs.
    """
    if module.loss.needs_votes and datamodule.data.votes is None:
        raise FerError(
            f"loss={config.loss.name}: expected a data set with annotator votes, got one without. "
            "Use datamodule=ferplus, datamodule=fer2013 with datamodule.votes=true, or loss=cross_entropy."
        )
    batches = config.trainer.accumulate_grad_batches
    if config.optimizer.name == "sam" and batches > 1:
        raise FerError(
            f"trainer.accumulate_grad_batches: expected 1 with optimizer=sam, got {batches}. SAM needs two "
            "passes over each batch, which gradient accumulation does not support."
        )
    if config.optimizer.layer_decay is not None:
        # Raises FerError for a model without layers.
        module.model.group_matcher()
    _check_callbacks(config)
    check_test(config, datamodule.data)
    if config.ema and config.callbacks.swa is not None:
        raise FerError("callbacks.swa: expected one average of the weights, got ema=true too. Remove one.")
    needs_validation = {
        "early_stopping_patience": config.early_stopping_patience is not None,
        "scheduler=plateau": config.scheduler.name == "plateau",
    }
    for option, is_set in needs_validation.items():
        if is_set and config.trainer.barebones:
            raise FerError(
                f"{option}: expected a validation metric, but trainer.barebones=true logs none. Remove one "
                "of the two options."
            )
        is_late = is_known_after_validation(config.monitor)
        if is_set and config.trainer.limit_val_batches == 0 and not is_late:
            raise FerError(
                f"{option}: expected a validation of {config.monitor}, but trainer.limit_val_batches=0 "
                "turns validation off. Remove one of the two options."
            )


def _check_callbacks(config: RunConfig) -> None:
    has_logger = config.logger.wandb or config.logger.tensorboard or config.own_parts
    for name, note in {
        "lr_monitor": " The learning rate of each epoch is in metrics.csv.",
        "device_stats": "",
    }.items():
        if getattr(config.callbacks, name) and not has_logger and not config.trainer.fast_dev_run:
            raise FerError(
                f"callbacks.{name}: expected a logger for its values, got none. Add logger=tensorboard or "
                f"logger=wandb.{note}"
            )


def explain_fit_error(error: BaseException, processes: int) -> BaseException:
    """Return a `FerError` for a known failure of a fit, else ``error`` itself.

    Known failures are an option that Lightning rejects, a full disk, lack of memory, and the loss of another
    process.

    Args:
        error: Raised by ``Trainer.fit``.
        processes: Number of processes of the run.
    """
    text = " ".join(str(error).split())
    if isinstance(error, MisconfigurationException):
        return FerError(f"trainer: {text}")
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return FerError(f"{error}. Free disk space, or choose another folder for the run with output_dir=…")
    if isinstance(error, torch.OutOfMemoryError):
        return FerError(
            "Out of device memory. Reduce datamodule.batch_size, or datamodule.eval_batch_size if it "
            f"happened during validation. {text}"
        )
    if isinstance(error, ValueError | RuntimeError):
        for part, cause in _ERROR_CAUSES.items():
            if part in text:
                return FerError(f"{cause}: {text}")
    if processes > 1 and isinstance(error, RuntimeError) and re.search(_LOST_PROCESS, str(error)):
        return FerError(
            "Another process of this run stopped, so this process cannot continue. The cause is in the "
            "output of that process. Checkpoints of earlier epochs are kept."
        )
    return error
