"""Lightning's Trainer for a run: callbacks, devices and precision; checks of its options, readable errors."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ProgressBar, TQDMProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from fer.errors import FerError
from fer.optim import monitor_mode
from fer.training.averaging import ExponentialAverage
from fer.training.callbacks import (
    FiniteLoss,
    RestoreEarlyStop,
    SeedEpoch,
    ValidateAtMaxSteps,
    checkpoint_callbacks,
)
from fer.training.freezing import FrozenBackbone
from fer.training.pace import DurationEstimate, EpochPrinter, TrainMetricsLogger
from fer.training.recorder import RunRecorder
from fer.training.wandb_report import WandbReport

Config = Mapping[str, Any]


def build_trainer(
    config: Config,
    folder: Path,
    loggers: list[Logger],
    recorder: RunRecorder,
    model: nn.Module,
    extra_callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> pl.Trainer:
    """Build Lightning's Trainer; all of ``config["trainer"]`` is passed to it.

    Args:
        config: The resolved config.
        folder: The run folder.
        loggers: Open loggers.
        recorder: Of the run's metrics.
        model: The network; precision ``auto`` depends on it.
        extra_callbacks: Callbacks in addition to those of the config.
        quiet: Show no progress.

    Raises:
        FerError: The Trainer rejects an option.
    """
    callbacks = [*_callbacks(config, folder, loggers, recorder, quiet), *extra_callbacks]
    precision, accelerator = config["trainer"]["precision"], config["trainer"]["accelerator"]
    options = {
        **config["trainer"],
        "precision": choose_precision(precision, accelerator, model),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        # the DataModule shards the data: Lightning's sampler would repeat images
        "use_distributed_sampler": False,
    }
    _check_devices(options)
    try:
        return pl.Trainer(**options, logger=loggers or False, callbacks=callbacks, default_root_dir=folder)
    except (MisconfigurationException, AttributeError, TypeError, ValueError) as error:
        raise FerError(f"trainer: {error}") from error


def _check_devices(options: Mapping[str, Any]) -> None:
    """Raise FerError for more CPU processes than cores; Lightning checks accelerators only."""
    cores, devices = os.cpu_count() or 1, options["devices"]
    on_cpu = options["accelerator"] == "cpu" or not torch.cuda.is_available()
    if on_cpu and isinstance(devices, int) and devices > cores:
        raise FerError(
            f"trainer.devices: expected at most {cores}, the CPU cores of this machine, got {devices}."
        )


def _callbacks(
    config: Config, folder: Path, loggers: list[Logger], recorder: RunRecorder, quiet: bool
) -> list[Callback]:
    """Return the callbacks of a config in the order in which Lightning has to call them."""
    monitor = config["monitor"]
    callbacks: list[Callback] = [SeedEpoch(config["seed"]), FiniteLoss(), ValidateAtMaxSteps()]
    callbacks += [TrainMetricsLogger(), recorder]
    callbacks += [WandbReport(logger, recorder, config["logger"]["wandb"]["log_model"])
                  for logger in loggers if isinstance(logger, WandbLogger)]  # fmt: skip
    if config["model"]["freeze_epochs"]:
        callbacks.append(FrozenBackbone(config["model"]["freeze_epochs"]))
    if config["ema"]:
        callbacks.append(ExponentialAverage(config["ema_decay"]))
    if config["early_stopping_patience"] is not None:
        patience, mode = config["early_stopping_patience"], monitor_mode(monitor)
        callbacks.append(EarlyStopping(monitor, patience=patience, mode=mode, check_finite=False))
        callbacks.append(RestoreEarlyStop())
    if config["trainer"]["enable_checkpointing"] is not False:
        callbacks += checkpoint_callbacks(folder / "checkpoints", monitor)
    if config["trainer"]["enable_progress_bar"] is not False and not quiet:
        callbacks.append(TQDMProgressBar(leave=True) if sys.stdout.isatty() else EpochPrinter(monitor))
        callbacks.append(DurationEstimate(config["model"]["freeze_epochs"]))
    return callbacks


def choose_precision(name: str | int, accelerator: str, model: nn.Module) -> Any:
    """Return the precision for Lightning; ``auto`` is resolved to bf16 where it is faster, else fp32.

    Args:
        name: A precision of Lightning, or ``auto``.
        accelerator: An accelerator of Lightning, or ``auto``.
        model: The network to train.
    """
    if name != "auto":
        return name
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator not in ("auto", "cpu"):
        return "32-true"
    has_fast_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if not has_fast_bf16 or any(map(_is_strided_depthwise, model.modules())):
        # emulated bf16 is ten times slower
        return "32-true"
    return "bf16-mixed"


def _is_strided_depthwise(layer: nn.Module) -> bool:
    """Return whether a layer's backward pass on a CPU is 7 to 15 times slower in bf16 (MobileNets)."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels and max(layer.stride) > 1
