"""TensorBoard and Weights & Biases around a run: opened where asked for, closed whatever happens.

Neither they nor Lightning are imported before they are needed.
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger
    from wandb import Run

ONLINE = ("online", "run", "shared")
INIT_SECONDS, FINISH_SECONDS = 20, 300  # how long the network may keep a run waiting, at its start and end


@contextmanager
def open_loggers(
    config: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any]
) -> Iterator[list["Logger"]]:
    """Open the loggers of a run and close them at its end; W&B is told if it failed.

    Args:
        config: ``wandb`` (``project``, ``entity``, ``group``, ``tags``; null for none) and ``tensorboard``.
        folder: The run folder; everything local goes there.
        run_config: What W&B shows as the run's config.
    """
    loggers: list[Logger] = []
    failed = True
    try:
        if config.get("tensorboard"):
            loggers.append(_tensorboard(folder))
        if config.get("wandb") is not None:
            loggers.append(_wandb(config["wandb"], folder, run_config))
        yield loggers
        failed = False
    finally:
        for logger in loggers:
            _close(logger, failed)


def log_status(loggers: list["Logger"], status: str) -> None:
    """Tell W&B how a run ended: ``finished``, ``pruned``, ``failed`` or ``interrupted``."""
    from pytorch_lightning.loggers import WandbLogger

    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary["status"] = status


def log_pictures(loggers: list["Logger"], folder: Path, step: int) -> None:
    """Send the pictures of ``plots/``: TensorBoard all of the end's, W&B the curves (it has the others).

    Args:
        loggers: The run's loggers.
        folder: The run folder, its pictures drawn.
        step: Optimiser steps done.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _show_in_tensorboard(logger, folder, step)
        elif (path := folder / "plots" / "learning_curves.png").exists():
            _show_in_wandb(logger, path, step)


def _tensorboard(folder: Path) -> "Logger":
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)


def _show_in_tensorboard(logger: Any, folder: Path, step: int) -> None:
    import numpy as np
    from PIL import Image

    for name in ("confusion_matrix", "learning_curves"):
        if (path := folder / "plots" / f"{name}.png").exists():
            pixels = np.asarray(Image.open(path).convert("RGB"))
            logger.experiment.add_image(name, pixels, step, dataformats="HWC")


def _show_in_wandb(logger: Any, path: Path, step: int) -> None:
    import wandb

    logger.experiment.log({"learning_curves": wandb.Image(str(path)), "trainer/global_step": step})


def _wandb(options: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any]) -> "Logger":
    from pytorch_lightning.loggers import WandbLogger
    from pytorch_lightning.utilities import rank_zero_only

    # Of several processes the first alone has a run; Lightning hands the others a dummy.
    run: Any = start_wandb(options, folder, run_config) if getattr(rank_zero_only, "rank", 0) == 0 else None
    return WandbLogger(save_dir=str(folder), project=options["project"], experiment=run)


def start_wandb(options: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any]) -> "Run":
    """Start a W&B run: online where somebody is logged in and the server answers, else offline. Never ask.

    ``WANDB_MODE`` (``online``, ``offline``, ``disabled``) and ``wandb offline`` are obeyed.

    Args:
        options: ``project``, ``entity``, ``group`` and ``tags`` of the run; and where it is one of a sweep,
            ``id`` and ``name`` for those of its folder, and ``config`` to add.
        folder: The run folder; its name becomes the run's.
        run_config: What W&B shows as the run's config.
    """
    os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")  # else copies of tables pile up in the home folder
    import wandb
    from wandb.errors import Error

    mode = wandb.setup(wandb.Settings(silent=True)).settings.mode
    if mode in ONLINE:
        try:
            if wandb.login(prompt=False, verify=True):
                run = _init(options, folder, run_config, mode)
                print(f"wandb    {run.url}", flush=True)
                return run
        except Error as error:
            print(f"W&B: logging offline, as the server does not let us in. {_first_line(error)}", flush=True)
        mode = "offline"
    return _init(options, folder, run_config, mode)


def _init(options: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any], mode: Any) -> "Run":
    import wandb

    settings = wandb.Settings(
        mode=mode, console="off", silent=True, init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS, finish_timeout_raises=True,
    )  # fmt: skip
    names = {key: options[key] for key in ("project", "entity", "group", "tags")}
    run = wandb.init(
        id=options.get("id") or run_id(folder), resume="allow", name=options.get("name") or folder.name,
        dir=folder, config={**run_config, **options.get("config", {})}, settings=settings, **names,
    )  # fmt: skip
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


def run_id(folder: Path) -> str:
    """Return the W&B id of a run: one and the same however often it is resumed in its folder."""
    return f"{folder.parent.name}_{folder.name}"


def _close(logger: Any, failed: bool) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    if isinstance(logger, TensorBoardLogger):
        logger.experiment.close()
    else:
        finish_wandb(logger.experiment, failed)


def finish_wandb(run: Any, failed: bool) -> None:
    """End a W&B run, and say how what was not sent is sent later."""
    sync = f"wandb sync {shlex.quote(str(run.sync_dir))}"
    offline, disabled = run.offline, run.disabled
    try:
        run.finish(exit_code=int(failed))
    except TimeoutError:
        print(f"W&B: not all was sent within {FINISH_SECONDS} s. Send the rest with: {sync}", flush=True)
        return
    if offline and not disabled:
        print(f"wandb    offline; send it with: {sync}", flush=True)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
