"""Train with a resolved config: read data, build module and trainer, fit, write the results."""

import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_only

from fer.analysis.plots.images import plot_image_grid
from fer.analysis.plots.style import save_figure
from fer.core.memory import keep_freed_memory
from fer.core.threads import share_cores
from fer.data.datamodule import EmotionDataModule, RunData, read_data
from fer.data.duplicates import write_report
from fer.models.backbone import probe
from fer.models.checkpoint import load_checkpoint
from fer.training.best_report import AUGMENTATION_TITLE
from fer.training.compiled import compile_step
from fer.training.config import LoggerConfig, RunConfig
from fer.training.finish import interrupted, print_average, print_speed, score_test
from fer.training.lightning_loggers import log_best_values, log_curves, log_status, logged_run, open_loggers
from fer.training.loggers import warn_on_failure
from fer.training.metrics import check_monitor_emotion
from fer.training.module import EmotionModule
from fer.training.own_parts import build_parts
from fer.training.profile import print_profile
from fer.training.progress import print_header, print_summary, save_plots
from fer.training.recorder import RunRecorder
from fer.training.resume import (
    check_same_data,
    check_same_devices,
    check_same_run,
    check_same_stem,
    last_checkpoint,
)
from fer.training.run_facts import run_facts
from fer.training.run_folder import check_folder, write_config
from fer.training.run_record import (
    STARTING,
    RunRecord,
    command_line,
    environment,
    new_id,
    occupied_error,
    read_record,
)
from fer.training.teachers import learn_from_teachers
from fer.training.trainer import (
    build_trainer,
    check_cluster,
    check_compatibility,
    explain_fit_error,
)
from fer.training.transfer import load_initial_weights


def run(
    config: RunConfig,
    folder: Path,
    resume: bool = False,
    data: RunData | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    command: str | None = None,
    plots: bool | None = None,
) -> dict[str, float]:
    """Train, write the run folder, and print a summary.

    Of several processes only the first writes and prints.

    Args:
        config: The config of the run.
        folder: The existing folder for all files of the run.
        resume: Resume the run in the folder.
        data: The result of `read_data` for this config, if it was read before.
        callbacks: Additional Lightning callbacks. If one has a string attribute ``final_status``, that is
            the status of the run in ``run.json`` instead of ``finished``.
        quiet: Print nothing, e.g. for one run of many.
        command: The command that trains it, for its record; None: that of this process.
        plots: Save plots; None: unless ``quiet``.

    Returns:
        Metrics of the best epoch; empty if nothing was validated.

    Raises:
        FerError: The data or an option is wrong, or the loss became NaN.
    """
    check_folder(folder)
    plots = not quiet if plots is None else plots
    silence_lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    share_cores(config.threads)
    keep_freed_memory()
    check_cluster(config.trainer)
    parts = build_parts(config.callbacks, config.own_parts)
    before = _record_before(folder, resume)
    data = data or read_data(config.data)
    datamodule = build_datamodule(config, data)
    checkpoint = last_checkpoint(folder) if resume else None
    module = build_module(config, datamodule, checkpoint, before.id)
    recorder = RunRecorder(folder / "metrics.csv", config.monitor, config.mode)
    # Built without loggers first, so that options that the Trainer rejects raise before anything is written.
    dry_trainer = build_trainer(config, folder, [], recorder, module.model)
    if resume and before.status:
        if checkpoint is not None:
            check_same_run(module.hparams["run_id"], before.id, checkpoint)
        check_same_devices(before, dry_trainer.precision, dry_trainer.world_size, folder)
        check_same_data(before.manifest, module.hparams["manifest"], folder)
    _write_start(config, folder, datamodule, plots)
    compile_step(module, datamodule)
    shown = {**config.to_dict(), "manifest": module.hparams["manifest"]}
    if config.logger.wandb is not None:
        shown["resolved"] = run_facts(module, dry_trainer, datamodule)
    with open_loggers(_logger_config(config), folder, shown, module.hparams["run_id"]) as loggers:
        loggers, callbacks = [*loggers, *parts.loggers], [*parts.callbacks, *callbacks]
        trainer = build_trainer(
            config, folder, loggers, recorder, module.model, callbacks, quiet, parts.profiler
        )
        if not quiet:
            print_header(module, datamodule, trainer, folder, checkpoint)
        record = _initial_record(module, trainer)
        record.command = command or record.command
        if resume and before.status:
            record.resumes, record.command = before.resumes + 1, before.command
        _train(trainer, module, datamodule, record, checkpoint, recorder, quiet, plots)
    if not quiet:
        print_average(recorder)
        if config.trainer.profiler or parts.profiler:
            print_profile(trainer.profiler)  # type: ignore[attr-defined]
    if config.test and record.status == "finished":
        score_test(config, folder)
    return recorder.best or {}


def _logger_config(config: RunConfig) -> LoggerConfig:
    """Return the loggers of a run; none for a few batches only."""
    return LoggerConfig() if config.trainer.fast_dev_run or config.trainer.barebones else config.logger


def _record_before(folder: Path, resume: bool) -> RunRecord:
    """Return the record of the run to resume, or that of a new run, with its id.

    Raises:
        FerError: The folder has another run.
    """
    record = read_record(folder)
    if resume or record.status == STARTING:
        return record
    # Processes after the first find the record that the first has written.
    if record.status and getattr(rank_zero_only, "rank", 0) == 0:
        raise occupied_error(folder)
    return RunRecord(id=new_id())


def build_datamodule(config: RunConfig, data: RunData) -> EmotionDataModule:
    """Build the DataModule of a config."""
    return EmotionDataModule(
        data,
        image_size=config.model.image_size,
        augmentation=config.augmentation,
        progressive=config.progressive,
        seed=config.seed,
        oversample=config.imbalance.name == "oversample",
        config=config.data,
    )


def build_module(
    config: RunConfig,
    datamodule: EmotionDataModule,
    checkpoint: Path | None = None,
    run_id: str | None = None,
) -> EmotionModule:
    """Build the module of a config, with its initial weights or those of a checkpoint.

    Raises:
        FerError: Options exclude each other, or do not fit the data.
    """
    # A resumed run loads its weights from the checkpoint, so pretrained ones are not needed.
    build_config = (
        config if checkpoint is None else config.replace(model=config.model.replace(pretrained=False))
    )
    module = EmotionModule(
        config=build_config,
        labels=datamodule.labels,
        image_channels=datamodule.image_channels,
        train_counts=datamodule.train_counts,
        manifest=datamodule.manifest,
        label_given_vote=datamodule.label_given_vote,
        source_counts=datamodule.source_counts,
    )
    # The stored config keeps the original value of pretrained.
    module.config = config
    module.hparams["config"], module.hparams["run_id"] = config.to_dict(), run_id
    check_monitor_emotion(config.monitor, module.labels)
    check_compatibility(config, module, datamodule)
    # Raises FerError for an image size that the network cannot process.
    for _, size in config.progressive:
        probe(module.model, (datamodule.image_channels, int(size), int(size)))
    _load_weights(module, datamodule, checkpoint)
    return module


def _load_weights(module: EmotionModule, datamodule: EmotionDataModule, checkpoint: Path | None) -> None:
    """Load the initial weights named in the config, and record their provenance.

    A resumed run takes the provenance from its checkpoint; Lightning loads the weights from there later.
    """
    origins: list[dict[str, Any]] = []
    if checkpoint is not None:
        trained = load_checkpoint(checkpoint)
        origins = trained.sketches.get("init_from", [])
        module.hparams["run_id"] = trained.run_id
        check_same_stem(trained.model.backbone, module.model.backbone, checkpoint)
        module.hparams["init_from"] = trained.init_from
    elif initial := load_initial_weights(
        module.model, module.config.model, module.labels, datamodule.manifest, datamodule.sketches,
        datamodule.augmented_examples,
    ):  # fmt: skip
        module.hparams["init_from"], origins = initial.record, initial.sketches
        rank_zero_only(print)(*initial.messages, sep="\n", flush=True)
    if lesson := learn_from_teachers(module.config, datamodule, checkpoint):
        module.hparams["teachers"] = lesson.records
        rank_zero_only(print)(*lesson.messages, sep="\n", flush=True)
    module.hparams["sketches"] = {"splits": datamodule.sketches, "init_from": origins}


def _train(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: RunRecord,
    checkpoint: Path | None,
    recorder: RunRecorder,
    quiet: bool,
    plots: bool,
) -> None:
    """Fit, and write the record and the plots even if the fit fails."""
    folder, start = recorder.path.parent, time.perf_counter()
    rank_zero_only(record.write)(folder)
    try:
        _fit(trainer, module, datamodule, record, checkpoint)
    finally:
        record.fit_seconds = round(time.perf_counter() - start, 3) + recorder.previous_seconds
        _write_results(folder, record, recorder)
        rank_zero_only(log_status)(trainer.loggers, record.status)
        rank_zero_only(log_best_values)(trainer.loggers, recorder.rows, module.labels.names)
        if plots:
            _save_and_log_plots(folder, recorder, trainer, module)
    if not quiet and trainer.barebones:
        print_speed(trainer, datamodule, record.fit_seconds)
    if not quiet:
        rank_zero_only(print_summary)(folder, recorder, module.labels, record.fit_seconds)


@rank_zero_only
def _write_start(config: RunConfig, folder: Path, datamodule: EmotionDataModule, plots: bool) -> None:
    """Write the config, the duplicates report and a plot of augmented images."""
    write_config(folder, config)
    if datamodule.duplicates:
        write_report(folder / "duplicates.json", datamodule.duplicates)
    if not plots:
        return
    images = datamodule.augmented_examples()
    with warn_on_failure("the plot augmentation.png was not saved"):
        save_figure(
            plot_image_grid(images, None, 8, AUGMENTATION_TITLE), folder / "plots" / "augmentation.png"
        )


def _initial_record(module: EmotionModule, trainer: pl.Trainer) -> RunRecord:
    return RunRecord(
        id=module.hparams["run_id"],
        status="running",
        seed=module.config.seed,
        command=command_line(),
        **environment(),
        device=str(trainer.strategy.root_device),
        processes=trainer.world_size,
        precision=trainer.precision,
        manifest=module.hparams["manifest"],
        init_from=module.hparams.get("init_from"),
        **({"teachers": teachers} if (teachers := module.hparams.get("teachers")) else {}),
        wandb=logged_run(trainer.loggers),
        resumes=0,
        **_named_by_user(module.config),
    )


def _named_by_user(config: RunConfig) -> dict[str, Any]:
    """Return the tags, and the classes that the command line names, for the record."""
    named = {"tags": config.tags, "own_parts": dict(config.own_parts.nodes) if config.own_parts else None}
    return {name: value for name, value in named.items() if value}


@rank_zero_only
def _write_results(folder: Path, record: RunRecord, recorder: RunRecorder) -> None:
    record.model_copy(update=recorder.results()).write(folder)


@rank_zero_only
def _save_and_log_plots(
    folder: Path, recorder: RunRecorder, trainer: pl.Trainer, module: EmotionModule
) -> None:
    save_plots(folder, recorder, module.labels)
    with_wandb = module.config.logger.wandb is not None and module.config.logger.wandb.plots
    log_curves(trainer.loggers, folder, trainer.global_step, len(recorder.rows), with_wandb)


def _fit(
    trainer: pl.Trainer,
    module: EmotionModule,
    datamodule: EmotionDataModule,
    record: RunRecord,
    checkpoint: Path | None,
) -> None:
    """Fit, and add status and error to the record."""
    if checkpoint is not None:
        # With trainer.max_steps, Lightning treats a checkpoint from an epoch's end as one from its middle. It
        # would run the end of that epoch again. Steps are counted regardless.
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        statuses = [getattr(callback, "final_status", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        record.status = next(filter(None, statuses), "finished")
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit.
        record.status = "interrupted"
        raise interrupted(Path(trainer.default_root_dir)) from error
    except BaseException as error:
        explained = explain_fit_error(error, trainer.world_size)
        record.status, record.error = "failed", str(explained) or type(explained).__name__
        if explained is error:
            raise
        raise explained from error


def silence_lightning() -> None:
    """Turn off Lightning's hints and warnings, which are for developers."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler")
