"""Train with a resolved config: read data, build module and trainer, fit, write the results."""

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_only

from fer.analysis.plots.images import plot_image_grid
from fer.analysis.plots.style import save_figure
from fer.core import labels
from fer.data import splits
from fer.data.augment import AugmentationConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData
from fer.data.duplicates import check_duplicates, write_report
from fer.data.readers.factory import read_dataset
from fer.models.backbone import probe
from fer.models.checkpoint import load_checkpoint
from fer.training.loggers import log_plots, log_status, open_loggers
from fer.training.metrics import check_monitor_emotion
from fer.training.module import EmotionModule
from fer.training.progress import print_header, print_summary, save_plots
from fer.training.recorder import RunRecorder
from fer.training.resume import check_same_data, check_same_devices, check_same_stem, last_checkpoint
from fer.training.run_folder import command_line, environment, read_record, write_config, write_record
from fer.training.trainer import build_trainer, check_compatibility, explain_fit_error
from fer.training.transfer import load_initial_weights

Config = Mapping[str, Any]


class RunData(NamedTuple):
    """A data set with its duplicates and manifest, which take seconds to compute.

    Attributes:
        dataset: Images, labels and splits.
        duplicates: As `fer.data.duplicates.duplicate_report` returns it; None if not searched for.
        manifest: As `fer.data.splits.manifest` returns it.
    """

    dataset: EmotionData
    duplicates: dict[str, Any] | None
    manifest: dict[str, Any]


def run(
    config: dict[str, Any],
    folder: Path,
    resume: bool = False,
    data: RunData | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> dict[str, float]:
    """Train, write the run folder, and print a summary.

    Of several processes only the first writes and prints.

    Args:
        config: The resolved config as in ``conf/train.yaml``, plain values.
        folder: The existing folder for all files of the run.
        resume: Resume the run in the folder.
        data: The result of `read_data` for this config, if it was read before.
        callbacks: Additional Lightning callbacks. If one has a string attribute ``final_status``, that is
            the status of the run in ``run.json`` instead of ``finished``.
        quiet: Print nothing and save no plots, e.g. for one run of many.

    Returns:
        Metrics of the best epoch; empty if nothing was validated.

    Raises:
        FerError: The data or an option is wrong, or the loss became NaN.
    """
    _silence_lightning()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = data or read_data(config)
    datamodule = build_datamodule(config, data)
    checkpoint = last_checkpoint(folder) if resume else None
    module = _build_module(config, datamodule, data.manifest, checkpoint)
    recorder = RunRecorder(folder / "metrics.csv", config["monitor"])
    # Built without loggers first, so that options that the Trainer rejects raise before anything is written.
    dry_trainer = build_trainer(config, folder, [], recorder, module.model)
    before = read_record(folder) if resume else {}
    if before:
        devices = {"precision": dry_trainer.precision, "processes": dry_trainer.world_size}
        check_same_devices(before, devices, folder)
        check_same_data(before["manifest"], module.hparams["manifest"], folder)
    _write_start(config, folder, datamodule, quiet)
    logger_config = {} if config["trainer"]["fast_dev_run"] else config["logger"]
    with open_loggers(logger_config, folder, {**config, "manifest": module.hparams["manifest"]}) as loggers:
        trainer = build_trainer(config, folder, loggers, recorder, module.model, callbacks, quiet)
        if not quiet:
            print_header(module, datamodule, trainer, checkpoint)
        record = _initial_record(module, trainer) | {"resumes": before.get("resumes", -1) + 1}
        record["command"] = before.get("command", record["command"])
        _train(trainer, module, datamodule, record, checkpoint, recorder, quiet)
    return recorder.best or {}


def read_data(config: Mapping[str, Any]) -> RunData:
    """Read the data set of a config, and search it for duplicates."""
    complete = read_dataset(config["datamodule"])
    dataset, duplicates = check_duplicates(complete, config["datamodule"]["drop_leaks"])
    return RunData(dataset, duplicates, splits.manifest(dataset, full_data=complete))


def build_datamodule(config: Mapping[str, Any], data: RunData) -> EmotionDataModule:
    """Build the DataModule of a config."""
    options = config["datamodule"]
    return EmotionDataModule(
        data.dataset,
        batch_size=options["batch_size"],
        eval_batch_size=options["eval_batch_size"],
        image_size=config["model"]["image_size"],
        augmentation=AugmentationConfig(**config["augmentation"]),
        progressive=config["progressive"],
        seed=config["seed"],
        oversample=config["imbalance"]["name"] == "oversample",
        duplicates=data.duplicates,
        workers=options.get("workers", 0),
    )


def _build_module(
    config: dict[str, Any],
    datamodule: EmotionDataModule,
    manifest: dict[str, Any],
    checkpoint: Path | None,
) -> EmotionModule:
    label_space = labels.to_dict(datamodule.data.labels)
    counts, channels = datamodule.train_counts, datamodule.image_channels
    # A resumed run loads its weights from the checkpoint, so pretrained ones are not needed.
    model_config = config["model"] if checkpoint is None else {**config["model"], "pretrained": False}
    module = EmotionModule(
        {**config, "model": model_config},
        label_space,
        counts,
        channels,
        manifest,
        datamodule.label_given_vote,
    )
    # The stored config keeps the original value of pretrained.
    module.config = module.hparams["config"] = config
    check_monitor_emotion(config["monitor"], module.labels)
    check_compatibility(config, module, datamodule)
    # Raises FerError for an image size that the network cannot process.
    for _, size in config["progressive"]:
        probe(module.model, (datamodule.image_channels, size, size))
    _load_weights(module, manifest, checkpoint)
    return module


def _load_weights(module: EmotionModule, manifest: dict[str, Any], checkpoint: Path | None) -> None:
    """Load the initial weights named in the config, and record their provenance.

    A resumed run takes the provenance from its checkpoint; Lightning loads the weights from there later.
    """
    if checkpoint is not None:
        trained = load_checkpoint(checkpoint)
        check_same_stem(trained.model.backbone, module.model.backbone, checkpoint)
        module.hparams["init_from"] = trained.init_from
    elif initial := load_initial_weights(module.model, module.config["model"], module.labels, manifest):
        module.hparams["init_from"] = initial.record
        rank_zero_only(print)(*initial.messages, sep="\n", flush=True)


def _train(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: dict[str, Any],
    checkpoint: Path | None,
    recorder: RunRecorder,
    quiet: bool,
) -> None:
    """Fit, and write the record and the plots even if the fit fails."""
    folder = recorder.path.parent
    rank_zero_only(write_record)(folder, record)
    try:
        _fit(trainer, module, datamodule, record, checkpoint)
    finally:
        record["fit_seconds"] += recorder.previous_seconds
        _write_results(folder, record, recorder)
        rank_zero_only(log_status)(trainer.loggers, record["status"])
        if not quiet:
            _save_and_log_plots(folder, recorder, trainer, module)
    if not quiet:
        rank_zero_only(print_summary)(folder, recorder, module.labels, record["fit_seconds"])


@rank_zero_only
def _write_start(config: Config, folder: Path, datamodule: EmotionDataModule, quiet: bool) -> None:
    """Write the config, the duplicates report and a plot of augmented images."""
    write_config(folder, config)
    if datamodule.duplicates:
        write_report(folder / "duplicates.json", datamodule.duplicates)
    if quiet:
        return
    title = "Training images and augmented views"
    figure = plot_image_grid(datamodule.augmented_examples(), None, 8, title)
    save_figure(figure, folder / "plots" / "augmentation.png")


def _initial_record(module: EmotionModule, trainer: pl.Trainer) -> dict[str, Any]:
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
def _write_results(folder: Path, record: dict[str, Any], recorder: RunRecorder) -> None:
    write_record(folder, record | recorder.results())


@rank_zero_only
def _save_and_log_plots(
    folder: Path, recorder: RunRecorder, trainer: pl.Trainer, module: EmotionModule
) -> None:
    save_plots(folder, recorder, module.labels)
    log_plots(trainer.loggers, folder, trainer.global_step)


def _fit(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: dict[str, Any],
    checkpoint: Path | None,
) -> None:
    """Fit, and add status, error and duration to the record."""
    start = time.perf_counter()
    if checkpoint is not None:
        # With trainer.max_steps, Lightning treats a checkpoint from an epoch's end as one from its middle. It
        # would run the end of that epoch again. Steps are counted regardless.
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        statuses = [getattr(callback, "final_status", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        record["status"] = next(filter(None, statuses), "finished")
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit.
        record["status"] = "interrupted"
        raise KeyboardInterrupt from error
    except BaseException as error:
        explained = explain_fit_error(error, trainer.world_size)
        record |= {"status": "failed", "error": str(explained) or type(explained).__name__}
        if explained is error:
            raise
        raise explained from error
    finally:
        record["fit_seconds"] = round(time.perf_counter() - start, 3)


def _silence_lightning() -> None:
    """Turn off Lightning's hints and warnings, which are for developers."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler")
