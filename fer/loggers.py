"""TensorBoard and Weights & Biases: built where asked for, imported only then."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


def build_loggers(config: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any]) -> list[Logger]:
    """Build the loggers of a run.

    Args:
        config: ``wandb`` (null, or ``project``, ``entity``, ``group``, ``tags``, ``log_model``) and
            ``tensorboard``.
        folder: The run folder; everything local goes there.
        run_config: What W&B shows as the run's config.
    """
    loggers: list[Logger] = []
    if config["tensorboard"]:
        loggers.append(_tensorboard(folder))
    if config["wandb"] is not None:
        loggers.append(_wandb(config["wandb"], folder, run_config))
    return loggers


def _tensorboard(folder: Path) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)


def _wandb(options: Mapping[str, Any], folder: Path, run_config: Mapping[str, Any]) -> Logger:
    """Start a W&B run: online where somebody is logged in, else offline; it never asks."""
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    if "WANDB_MODE" not in os.environ and wandb.api.api_key is None:
        os.environ["WANDB_MODE"] = "offline"
    names = {key: options[key] for key in ("project", "entity", "group", "tags")}
    settings = wandb.Settings(console="off", silent=True, init_timeout=30)
    return WandbLogger(
        name=folder.name,
        save_dir=str(folder),
        config=dict(run_config),
        log_model=False,
        settings=settings,
        **names,
    )
