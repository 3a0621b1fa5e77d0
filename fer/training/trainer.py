"""Lightning's Trainer for a run: devices, precision, callbacks."""

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
from fer.optim import mode_of
from fer.training.averaging import ExponentialAverage
from fer.training.callbacks import FiniteLoss, SeedEpoch, StayStopped, ValidateLast, checkpoints
from fer.training.freezing import FrozenBackbone
from fer.training.pace import EpochLine, Outlook, Pace
from fer.training.recorder import RunRecorder
from fer.training.wandb_report import WandbReport

Config = Mapping[str, Any]


def build_trainer(
    config: Config,
    folder: Path,
    loggers: list[Logger],
    recorder: RunRecorder,
    net: nn.Module,
    more: Sequence[Callback] = (),
    quiet: bool = False,
) -> pl.Trainer:
    """Build Lightning's Trainer; all of ``config["trainer"]`` is handed on.

    Args:
        config: The resolved config.
        folder: The run folder.
        loggers: Opened already.
        recorder: Of the run's metrics.
        net: What is trained; precision ``auto`` depends on it.
        more: Callbacks besides the usual ones.
        quiet: Show no progress.

    Raises:
        FerError: The Trainer refuses an option.
    """
    callbacks = [*_callbacks(config, folder, loggers, recorder, quiet), *more]
    options = {
        **config["trainer"],
        "precision": choose_precision(config["trainer"]["precision"], config["trainer"]["accelerator"], net),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "use_distributed_sampler": False,  # the DataModule shards: Lightning's way repeats images
    }
    _check_devices(options)
    try:
        return pl.Trainer(**options, logger=loggers or False, callbacks=callbacks, default_root_dir=folder)
    except (MisconfigurationException, AttributeError, TypeError, ValueError) as error:
        raise FerError(f"trainer: {error}") from error


def _check_devices(options: Mapping[str, Any]) -> None:
    """Refuse more CPU processes than cores; Lightning checks accelerators itself, but not these."""
    cores, asked = os.cpu_count() or 1, options["devices"]
    on_cpu = options["accelerator"] == "cpu" or not torch.cuda.is_available()
    if on_cpu and isinstance(asked, int) and asked > cores:
        raise FerError(f"trainer.devices={asked}: this machine has {cores} CPU cores. Use at most {cores}.")


def _callbacks(
    config: Config, folder: Path, loggers: list[Logger], recorder: RunRecorder, quiet: bool
) -> list[Callback]:
    monitor = config["monitor"]
    chosen: list[Callback] = [SeedEpoch(config["seed"]), FiniteLoss(), ValidateLast(), Pace(), recorder]
    chosen += [WandbReport(log, recorder, config["logger"]["wandb"]["log_model"])
               for log in loggers if isinstance(log, WandbLogger)]  # fmt: skip
    if config["model"]["freeze_epochs"]:
        chosen.append(FrozenBackbone(config["model"]["freeze_epochs"]))
    if config["ema"]:
        chosen.append(ExponentialAverage(config["ema_decay"]))
    if config["early_stopping_patience"] is not None:
        patience = config["early_stopping_patience"]
        chosen.append(EarlyStopping(monitor, patience=patience, mode=mode_of(monitor), check_finite=False))
        chosen.append(StayStopped())
    if config["trainer"]["enable_checkpointing"] is not False:
        chosen += checkpoints(folder / "checkpoints", monitor)
    if config["trainer"]["enable_progress_bar"] is not False and not quiet:
        chosen.append(TQDMProgressBar(leave=True) if sys.stdout.isatty() else EpochLine(monitor))
        chosen.append(Outlook(config["model"]["freeze_epochs"]))
    return chosen


def choose_precision(name: str | int, accelerator: str, net: nn.Module) -> Any:
    """Resolve ``auto``: bf16 where the device trains this net faster in it than in fp32, else fp32."""
    if name != "auto":
        return name
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator not in ("auto", "cpu"):
        return "32-true"
    fast_on_cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if not fast_on_cpu or any(map(_is_strided_depthwise, net.modules())):
        return "32-true"  # bf16 is emulated there, ten times slower
    return "bf16-mixed"


def _is_strided_depthwise(layer: nn.Module) -> bool:
    """Whether a layer's backward pass takes a CPU 7 to 15 times as long in bf16 as in fp32 (MobileNets)."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels and max(layer.stride) > 1
