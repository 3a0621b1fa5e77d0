"""A few training steps that are measured and discarded, before a training."""

import shlex
import sys
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from fer.core.memory import keep_freed_memory
from fer.core.threads import share_cores
from fer.data.datamodule import RunData, read_data
from fer.training.callback_config import CallbacksConfig
from fer.training.compiled import compile_step
from fer.training.config import LoggerConfig, RunConfig
from fer.training.recipe import ConstantConfig
from fer.training.recorder import RunRecorder
from fer.training.run import build_datamodule, build_module, silence_lightning
from fer.training.trainer import build_trainer, explain_fit_error
from fer.training.typed import as_typed


def fit_steps(
    config: RunConfig, steps: int, folder: Path, callback: Callback, data: RunData | None = None
) -> None:
    """Train a new network for some steps and discard it.

    There is no validation, schedule, average of the weights, logger or checkpoint.

    Args:
        config: The config of the run.
        steps: Number of optimizer steps; the callback may stop earlier.
        folder: An existing folder; nothing is written there.
        callback: What is measured.
        data: The result of `read_data` for this config, if it was read before.

    Raises:
        FerError: The data or an option is wrong.
    """
    silence_lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    share_cores(config.threads)
    keep_freed_memory()
    config = _probe_config(config, steps)
    datamodule = build_datamodule(config, data or read_data(config.data))
    module = build_module(config, datamodule)
    compile_step(module, datamodule)
    recorder = RunRecorder(folder / "metrics.csv", config.monitor)
    trainer = build_trainer(config, folder, [], recorder, module.model, [callback], quiet=True)
    try:
        trainer.fit(module, datamodule=datamodule)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit.
        raise KeyboardInterrupt from error
    except Exception as error:
        explained = explain_fit_error(error, trainer.world_size)
        if explained is error:
            raise
        raise explained from error


def _probe_config(config: RunConfig, steps: int) -> RunConfig:
    trainer = config.trainer.replace(
        max_epochs=steps, max_steps=steps, barebones=True, limit_val_batches=0, fast_dev_run=False,
        min_epochs=None, min_steps=None, profiler=None, detect_anomaly=False, enable_checkpointing=None,
        enable_progress_bar=None, enable_model_summary=None, log_every_n_steps=None, num_sanity_val_steps=0,
    )  # fmt: skip
    return config.replace(
        trainer=trainer, scheduler=ConstantConfig(name="constant"), ema=False, early_stopping_patience=None,
        progressive=[], callbacks=CallbacksConfig(), logger=LoggerConfig(), own_parts=None, test=False,
    )  # fmt: skip


def command_with(action: str, override: str) -> str:
    """Return the command of this process without an action, and with another value of an option."""
    dropped = (f"{action}=", f"{override.partition('=')[0]}=")
    kept = [item for item in as_typed(sys.argv[1:]) if not item.startswith(dropped)]
    return shlex.join(["fer-train", *kept, override])
