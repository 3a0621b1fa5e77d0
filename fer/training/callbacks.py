"""Lightning callbacks of a training run.

Checkpoints, seeds of epochs, weight averaging, freezing of the backbone, and stopping: at a loss that is not
finite, at ``trainer.max_steps``, and where early stopping had stopped a resumed run before.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from fer.data.loader import seeded_generator
from fer.errors import FerError
from fer.optim import monitor_mode


class RestoreEarlyStop(Callback):
    """Stop a resumed run whose early stopping had triggered before the run was killed."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Check the early-stopping state of the checkpoint before the first epoch."""
        for stopping in trainer.early_stopping_callbacks:
            if stopping.wait_count and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True


class ValidateAtMaxSteps(Callback):
    """Run validation when ``trainer.max_steps`` is reached, also in the middle of an epoch.

    The last steps of a schedule usually give the best weights.
    """

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        """Request a stop, before which Lightning validates."""
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop, trainer.check_val_every_n_epoch = True, 1
            # with min_epochs set, Lightning ignores should_stop
            trainer.fit_loop.min_epochs = None


class SeedEpoch(Callback):
    """Seed the global random generator (dropout, mixing) at each epoch from seed, epoch and process rank.

    A resumed run therefore draws the same numbers as an uninterrupted one.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed before the first batch; a loader may draw a number after the start of the epoch."""
        if batch_idx == 0:
            purpose = f"epoch, process {trainer.global_rank}"
            torch.manual_seed(seeded_generator(purpose, self.seed, trainer.current_epoch).initial_seed())


class FiniteLoss(Callback):
    """Stop training when the loss is NaN or infinite; checkpoints of earlier epochs are kept.

    Reading the loss would synchronise with the accelerator at each step. So the first bad step is kept on the
    device, and read every 50 steps and before each validation and checkpoint.
    """

    _first_bad_step: Tensor

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Initialise the first bad step to the largest integer."""
        self._first_bad_step = torch.full((), torch.iinfo(torch.int64).max, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step if its loss is not finite; a batch without a readable image has no loss."""
        if not outputs:
            return
        bad_step = torch.where(torch.isfinite(outputs["loss"]), self._first_bad_step, trainer.global_step)
        self._first_bad_step = torch.minimum(self._first_bad_step, bad_step)
        if pl_module.device.type == "cpu" or trainer.global_step % 50 == 0:
            self._check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Check before a validation."""
        if not trainer.sanity_checking:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Check before the checkpoint of the epoch."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        step = int(self._first_bad_step)
        if step < torch.iinfo(torch.int64).max:
            raise FerError(
                f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}). "
                "Training stopped; checkpoints of earlier epochs are kept. Try a lower optimizer.lr, "
                "trainer.gradient_clip_val=1.0 or trainer.precision=32-true."
            )


class RunCheckpoint(ModelCheckpoint):
    """`ModelCheckpoint` for a run folder that may be moved before the run is resumed.

    Lightning drops the best score when the path of the folder has changed, and would then overwrite the best
    checkpoint with that of a worse epoch.

    The class name is part of the key of the callback's state in checkpoints.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state, with its paths changed to the files of the same name in the current folder."""
        keys = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved: dict[str, Any] = {key: self._in_current_folder(state_dict[key]) for key in keys}
        moved["best_k_models"] = {
            self._in_current_folder(path): score for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict({**state_dict, **moved, "dirpath": self.dirpath})

    def _in_current_folder(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else path


def checkpoint_callbacks(folder: Path, monitor: str) -> list[Callback]:
    """Return the callbacks that write ``best.ckpt`` (by ``monitor``) and ``last.ckpt`` (each epoch)."""
    best = RunCheckpoint(
        folder, "best", monitor=monitor, mode=monitor_mode(monitor), auto_insert_metric_name=False,
        enable_version_counter=False,
    )  # fmt: skip
    last = RunCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]
