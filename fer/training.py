"""A training run from a plain config: data, module and trainer put together, fitted, and written down."""

import logging
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ProgressBar, TQDMProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fer import labels
from fer.analysis.image_grid import plot_image_grid
from fer.analysis.plots import save_figure
from fer.callbacks import EpochLine, FiniteLoss, Pace, checkpoints, ema
from fer.data.augment import Recipe
from fer.data.datamodule import EmotionDataModule
from fer.data.sources import read
from fer.errors import FerError, did_you_mean
from fer.loggers import log_pictures, open_loggers
from fer.models import count_parameters
from fer.models.backbone import probe
from fer.module import EmotionModule
from fer.optim import mode_of
from fer.recorder import RunRecorder
from fer.run_folder import environment, write_config, write_record
from fer.summary import draw_run, print_summary
from fer.wandb_report import WandbReport

Config = Mapping[str, Any]


def run(config: dict[str, Any], folder: Path) -> dict[str, float]:
    """Train, write the run folder, print the summary.

    Args:
        config: The resolved config of ``conf/train.yaml``'s shape, plain values.
        folder: An existing folder for all that the run leaves.

    Returns:
        Metrics of the best epoch; none where nothing was validated.

    Raises:
        FerError: The data or an option is wrong, or the loss became NaN.
    """
    _quieten()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = build_datamodule(config)
    manifest = datamodule.manifest()
    space = labels.to_dict(datamodule.data.labels)
    module = EmotionModule(config, space, datamodule.train_counts, datamodule.image_channels, manifest)
    _check_monitor(config["monitor"], module)
    for _, size in config["progressive"]:
        probe(module.model, (datamodule.image_channels, size, size))
    recorder = RunRecorder(folder / "metrics.csv", config["monitor"])
    build_trainer(config, folder, [], recorder)  # refuse what the Trainer refuses before anything is written
    write_config(folder, config)
    picture = plot_image_grid(datamodule.augmented_examples(), None, 8, "Training faces and augmented views")
    save_figure(picture, folder / "plots" / "augmentation.png")
    chosen = {} if config["trainer"]["fast_dev_run"] else config["logger"]
    with open_loggers(chosen, folder, {**config, "manifest": manifest}) as loggers:
        trainer = build_trainer(config, folder, loggers, recorder)
        return _train(trainer, module, datamodule, recorder, folder)


def _train(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    recorder: RunRecorder,
    folder: Path,
) -> dict[str, float]:
    _announce(module, datamodule, trainer)
    record = {"status": "running", "seed": module.config["seed"], **environment()}
    record |= {"device": str(trainer.strategy.root_device), "precision": trainer.precision}
    record["manifest"] = module.hparams["manifest"]
    write_record(folder, record)
    try:
        _fit(trainer, module, datamodule, record)
    finally:
        write_record(folder, record | recorder.outcome())
        draw_run(folder, recorder, module.labels)
        log_pictures(trainer.loggers, folder, trainer.global_step)
    print_summary(folder, recorder, module.labels, record["fit_seconds"])
    return recorder.best or {}


def build_datamodule(config: Config) -> EmotionDataModule:
    """Read the data named in the config and hold it ready for the device."""
    options = config["datamodule"]
    return EmotionDataModule(
        read(options),
        batch_size=options["batch_size"],
        eval_batch_size=options["eval_batch_size"],
        image_size=config["model"]["image_size"],
        recipe=Recipe(**config["augmentation"]),
        progressive=config["progressive"],
        seed=config["seed"],
    )


def build_trainer(config: Config, folder: Path, loggers: list[Logger], recorder: RunRecorder) -> pl.Trainer:
    """Build Lightning's Trainer; all of ``config["trainer"]`` is handed on.

    Raises:
        FerError: The Trainer refuses an option.
    """
    callbacks = _callbacks(config, folder, loggers, recorder)
    options = {
        **config["trainer"],
        "precision": choose_precision(config["trainer"]["precision"], config["trainer"]["accelerator"]),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
    }
    try:
        return pl.Trainer(**options, logger=loggers or False, callbacks=callbacks, default_root_dir=folder)
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise FerError(f"trainer: {error}") from error


def _callbacks(config: Config, folder: Path, loggers: list[Logger], recorder: RunRecorder) -> list[Callback]:
    monitor = config["monitor"]
    chosen: list[Callback] = [FiniteLoss(), Pace(), recorder]
    chosen += [WandbReport(log, recorder, config["logger"]["wandb"]["log_model"])
               for log in loggers if isinstance(log, WandbLogger)]  # fmt: skip
    if config["ema_decay"] is not None:
        chosen.append(ema(config["ema_decay"]))
    if config["early_stopping_patience"] is not None:
        patience = config["early_stopping_patience"]
        chosen.append(EarlyStopping(monitor, patience=patience, mode=mode_of(monitor), check_finite=False))
    if config["trainer"]["enable_checkpointing"] is not False:
        chosen += checkpoints(folder / "checkpoints", monitor)
    if config["trainer"]["enable_progress_bar"] is not False:
        chosen.append(TQDMProgressBar(leave=True) if sys.stdout.isatty() else EpochLine(monitor))
    return chosen


def choose_precision(name: str | int, accelerator: str = "auto") -> Any:
    """Resolve ``auto``: bf16 where the device computes in it faster than in fp32, else fp32."""
    if name != "auto":
        return name
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator not in ("auto", "cpu"):
        return "32-true"
    fast_on_cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast_on_cpu else "32-true"  # elsewhere bf16 is emulated, ten times slower


def _fit(
    trainer: pl.Trainer, module: EmotionModule, datamodule: EmotionDataModule, record: dict[str, Any]
) -> None:
    """Fit, and note in the record how that went and how long it took."""
    start = time.perf_counter()
    try:
        trainer.fit(module, datamodule=datamodule)
        record["status"] = "finished"
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        record["status"] = "interrupted"
        raise KeyboardInterrupt from error
    except BaseException as error:
        record |= {"status": "failed", "error": str(error) or type(error).__name__}
        raise
    finally:
        record["fit_seconds"] = round(time.perf_counter() - start, 3)


def _check_monitor(monitor: str, module: EmotionModule) -> None:
    """Refuse a monitor of an emotion that the data does not have, before an epoch is spent."""
    emotion, known = monitor.split("/")[-1], module.labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: the emotions here are {', '.join(known)}.{hint}")


def _announce(module: EmotionModule, datamodule: EmotionDataModule, trainer: pl.Trainer) -> None:
    sizes = ", ".join(f"{len(rows):,} {role}" for role, rows in datamodule.rows.items())
    model = module.config["model"]
    print(
        f"{model['name']}, {count_parameters(module.model):,} parameters, {model['image_size']} px, "
        f"{trainer.precision}; {datamodule.data.source}: {sizes} images",
        flush=True,
    )


def _quieten() -> None:
    """Leave the screen to what the user asked for; Lightning's hints are for developers."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler")
