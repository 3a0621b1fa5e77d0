"""TensorBoard and Weights & Biases loggers of a run: opened if configured, and always closed.

Both libraries and Lightning are imported only when they are used.
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.training.config import LoggerConfig, WandbConfig

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger
    from wandb import Run

# Modes of W&B that need the network.
ONLINE = ("online", "run", "shared")
# Seconds that W&B may wait for the network at the start and at the end of a run.
INIT_TIMEOUT, FINISH_TIMEOUT = 20, 300


@contextmanager
def open_loggers(
    config: LoggerConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None
) -> Iterator[list["Logger"]]:
    """Yield the loggers of a run and close them at the end; W&B marks the run as failed after an exception.

    Args:
        config: Which loggers.
        folder: The run folder, where all local files are written.
        run_config: The config that W&B shows for the run.
        run_id: Id of the run, also in W&B.
    """
    loggers: list[Any] = []
    with ExitStack() as stack:
        if config.tensorboard:
            from pytorch_lightning.loggers import TensorBoardLogger

            loggers.append(TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False))
            stack.callback(lambda: loggers[0].experiment.close())
        if config.wandb is not None:
            loggers.append(_open_wandb(config.wandb, folder, run_config, run_id))
            stack.push(lambda error, *_: finish_wandb(loggers[-1].experiment, failed=error is not None))
        yield loggers


def _open_wandb(
    options: WandbConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None
) -> "Logger":
    from pytorch_lightning.loggers import WandbLogger
    from pytorch_lightning.utilities import rank_zero_only

    # Of several processes only the first has a W&B run; Lightning gives the others a dummy.
    is_first = getattr(rank_zero_only, "rank", 0) == 0
    run: Any = start_wandb(options, folder, run_config, run_id) if is_first else None
    return WandbLogger(save_dir=str(folder), project=options.project, experiment=run)


def log_status(loggers: list["Logger"], status: str) -> None:
    """Log the final status to W&B: ``finished``, ``pruned``, ``failed`` or ``interrupted``."""
    from pytorch_lightning.loggers import WandbLogger

    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary["status"] = status


def log_plots(loggers: list["Logger"], folder: Path, step: int) -> None:
    """Log images from ``plots/``.

    TensorBoard gets the confusion matrix and the learning curves. W&B gets only the curves, because
    `fer.training.recorder.WandbReport` logs the other plots during training.

    Args:
        loggers: The loggers of the run.
        folder: The run folder, with its plots saved.
        step: Number of optimizer steps.
    """
    import numpy as np
    from PIL import Image
    from pytorch_lightning.loggers import TensorBoardLogger

    paths = [folder / "plots" / f"{name}.png" for name in ("confusion_matrix", "learning_curves")]
    for logger, path in product(loggers, filter(Path.exists, paths)):
        run: Any = logger.experiment  # type: ignore[attr-defined]
        if isinstance(logger, TensorBoardLogger):
            run.add_image(path.stem, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")
        elif path.stem == "learning_curves":
            import wandb

            run.log({path.stem: wandb.Image(str(path)), "trainer/global_step": step})


def start_wandb(
    options: WandbConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None
) -> "Run":
    """Start a W&B run: online if logged in and the server answers, else offline. Never prompts.

    ``WANDB_MODE`` (``online``, ``offline``, ``disabled``) and ``wandb offline`` are respected.

    Args:
        options: Project, entity, group and tags of the run.
        folder: The run folder; its name is the default name of the W&B run.
        run_config: The config that W&B shows for the run.
        run_id: Id of the W&B run, unless the options set one; None for a random one.
    """
    # Without this variable, copies of tables accumulate in the home folder.
    os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")
    import wandb
    from wandb.errors import Error

    mode = wandb.setup(wandb.Settings(silent=True)).settings.mode
    if mode in ONLINE:
        try:
            if wandb.login(prompt=False, verify=True):
                run = _init_wandb(options, folder, run_config, run_id, mode)
                print(f"wandb    {run.url}", flush=True)
                return run
        except Error as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"W&B: login failed, logging offline. {reason}", flush=True)
        mode = "offline"
    return _init_wandb(options, folder, run_config, run_id, mode)


def _init_wandb(
    options: WandbConfig, folder: Path, run_config: Mapping[str, Any], run_id: str | None, mode: Any
) -> "Run":
    import wandb

    settings = wandb.Settings(
        mode=mode, console="off", silent=True, init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT, finish_timeout_raises=True,
    )  # fmt: skip
    run = wandb.init(
        id=options.id or run_id, resume="allow", name=options.name or folder.name,
        project=options.project, entity=options.entity, group=options.group, tags=options.tags,
        dir=folder, config={**run_config, **options.config}, settings=settings,
    )  # fmt: skip
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


def finish_wandb(run: Any, failed: bool) -> None:
    """Finish a W&B run, and print the command that uploads what was not sent."""
    sync = f"wandb sync {shlex.quote(str(run.sync_dir))}"
    offline, disabled = run.offline, run.disabled
    try:
        run.finish(exit_code=int(failed))
    except TimeoutError:
        print(f"W&B: upload not finished after {FINISH_TIMEOUT} s. Upload the rest with: {sync}", flush=True)
        return
    if offline and not disabled:
        print(f"wandb    offline; upload with: {sync}", flush=True)
