"""A training run from a plain config: data, module and trainer put together, fitted, and written down."""

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_only

from fer import labels
from fer.analysis.image_grid import plot_image_grid
from fer.analysis.plots import save_figure
from fer.checkpoint import load_checkpoint
from fer.data.datamodule import EmotionDataModule
from fer.data.duplicates import write_report
from fer.models.backbone import probe
from fer.module import EmotionModule
from fer.monitor import check_emotion
from fer.training.fitting import check_together, in_words
from fer.training.loggers import log_pictures, log_status, open_loggers
from fer.training.recorder import RunRecorder
from fer.training.resume import check_same_data, check_same_devices, check_same_stem, last_checkpoint
from fer.training.run_data import Data, build_datamodule, read_data
from fer.training.run_folder import command_line, environment, read_record, write_config, write_record
from fer.training.summary import announce, draw_run, print_summary
from fer.training.trainer import build_trainer
from fer.training.transfer import start_from

Config = Mapping[str, Any]


def run(
    config: dict[str, Any],
    folder: Path,
    resumes: bool = False,
    data: Data | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> dict[str, float]:
    """Train, write the run folder, print the summary.

    Of several processes the first alone writes and prints.

    Args:
        config: The resolved config of ``conf/train.yaml``'s shape, plain values.
        folder: An existing folder for all that the run leaves.
        resumes: Go on with the run that is in the folder.
        data: What `read_data` returned for this config, to spare reading it again.
        callbacks: More of Lightning's. One whose ``ended_as`` is a word says so how the run ended.
        quiet: Print nothing and draw nothing, as one run of many.

    Returns:
        Metrics of the best epoch; none where nothing was validated.

    Raises:
        FerError: The data or an option is wrong, or the loss became NaN.
    """
    _quieten()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = data or read_data(config)
    datamodule = build_datamodule(config, data)
    checkpoint = last_checkpoint(folder) if resumes else None
    module = _build_module(config, datamodule, data.manifest, checkpoint)
    recorder = RunRecorder(folder / "metrics.csv", config["monitor"])
    # refuse what the Trainer refuses before anything is written
    trial = build_trainer(config, folder, [], recorder, module.model)
    before = read_record(folder) if resumes else {}
    if before:
        check_same_devices(before, {"precision": trial.precision, "processes": trial.world_size}, folder)
        check_same_data(before["manifest"], module.hparams["manifest"], folder)
    _write_beginning(config, folder, datamodule, quiet)
    chosen = {} if config["trainer"]["fast_dev_run"] else config["logger"]
    with open_loggers(chosen, folder, {**config, "manifest": module.hparams["manifest"]}) as loggers:
        trainer = build_trainer(config, folder, loggers, recorder, module.model, callbacks, quiet)
        if not quiet:
            announce(module, datamodule, trainer, checkpoint)
        record = _first_record(module, trainer) | {"resumes": before.get("resumes", -1) + 1}
        record["command"] = before.get("command", record["command"])
        _train(trainer, module, datamodule, record, checkpoint, recorder, quiet)
    return recorder.best or {}


def _build_module(
    config: dict[str, Any],
    datamodule: EmotionDataModule,
    manifest: dict[str, Any],
    checkpoint: Path | None,
) -> EmotionModule:
    space = labels.to_dict(datamodule.data.labels)
    counts, channels = datamodule.train_counts, datamodule.image_channels
    shape = config["model"] if checkpoint is None else {**config["model"], "pretrained": False}
    module = EmotionModule(
        {**config, "model": shape}, space, counts, channels, manifest, datamodule.label_given_vote
    )
    module.config = module.hparams["config"] = (
        config  # a run that goes on has its weights, and says so no less
    )
    check_emotion(config["monitor"], module.labels)
    check_together(config, module, datamodule)
    for _, size in config["progressive"]:
        probe(module.model, (datamodule.image_channels, size, size))
    _start(module, manifest, checkpoint)
    return module


def _train(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: dict[str, Any],
    checkpoint: Path | None,
    recorder: RunRecorder,
    quiet: bool,
) -> None:
    """Fit, and write down how it went, whatever happens."""
    folder = recorder.path.parent
    rank_zero_only(write_record)(folder, record)
    try:
        _fit(trainer, module, datamodule, record, checkpoint)
    finally:
        record["fit_seconds"] += recorder.earlier_seconds
        _write_end(folder, record, recorder)
        rank_zero_only(log_status)(trainer.loggers, record["status"])
        if not quiet:
            _draw_end(folder, recorder, trainer, module)
    if not quiet:
        rank_zero_only(print_summary)(folder, recorder, module.labels, record["fit_seconds"])


def _start(module: EmotionModule, manifest: dict[str, Any], checkpoint: Path | None) -> None:
    """Load the weights that the config names to start from, and note where they are from.

    A run that goes on has its weights in its checkpoint, and that note too.
    """
    if checkpoint is not None:
        trained = load_checkpoint(checkpoint)
        check_same_stem(trained.model.backbone, module.model.backbone, checkpoint)
        module.hparams["init_from"] = trained.init_from
    elif origin := start_from(module.model, module.config["model"], module.labels, manifest):
        module.hparams["init_from"] = origin.record
        rank_zero_only(print)(*origin.lines, sep="\n", flush=True)


@rank_zero_only
def _write_beginning(config: Config, folder: Path, datamodule: EmotionDataModule, quiet: bool) -> None:
    write_config(folder, config)
    if datamodule.duplicates:
        write_report(folder / "duplicates.json", datamodule.duplicates)
    if quiet:
        return
    picture = plot_image_grid(datamodule.augmented_examples(), None, 8, "Training faces and augmented views")
    save_figure(picture, folder / "plots" / "augmentation.png")


def _first_record(module: EmotionModule, trainer: pl.Trainer) -> dict[str, Any]:
    return {
        "status": "running",
        "seed": module.config["seed"],
        "command": command_line(),
        **environment(),
        "device": str(trainer.strategy.root_device),
        "processes": trainer.world_size,
        "precision": trainer.precision,
        "manifest": module.hparams["manifest"],
        "init_from": module.hparams.get("init_from"),
    }


@rank_zero_only
def _write_end(folder: Path, record: dict[str, Any], recorder: RunRecorder) -> None:
    write_record(folder, record | recorder.outcome())


@rank_zero_only
def _draw_end(folder: Path, recorder: RunRecorder, trainer: pl.Trainer, module: EmotionModule) -> None:
    draw_run(folder, recorder, module.labels)
    log_pictures(trainer.loggers, folder, trainer.global_step)


def _fit(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: dict[str, Any],
    checkpoint: Path | None,
) -> None:
    """Fit, and note in the record how that went and how long it took."""
    start = time.perf_counter()
    if checkpoint is not None:
        # With trainer.max_steps Lightning takes a checkpoint of an epoch's end for one of its middle, and
        # runs that epoch's end again. Steps are counted all the same.
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        words = [getattr(callback, "ended_as", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        record["status"] = next(filter(None, words), "finished")
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        record["status"] = "interrupted"
        raise KeyboardInterrupt from error
    except BaseException as error:
        told = in_words(error, trainer.world_size)
        record |= {"status": "failed", "error": str(told) or type(told).__name__}
        if told is error:
            raise
        raise told from error
    finally:
        record["fit_seconds"] = round(time.perf_counter() - start, 3)


def _quieten() -> None:
    """Leave the screen to what the user asked for; Lightning's hints are for developers."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler")
