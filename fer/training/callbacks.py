"""Callbacks of a run: its seeds, its checkpoints, and the guard against a loss that is no number."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from fer.data.loader import seeded
from fer.errors import FerError
from fer.optim import mode_of


class StayStopped(Callback):
    """End a run that was killed after early stopping had stopped it, and before its end was written down."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look at what the checkpoint said, before an epoch begins."""
        for stopping in trainer.early_stopping_callbacks:
            if stopping.wait_count and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True


class ValidateLast(Callback):
    """Validate after ``trainer.max_steps``, wherever they fall: a schedule's end is its best part."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        """Ask for the end, before which Lightning validates."""
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop, trainer.check_val_every_n_epoch = True, 1
            trainer.fit_loop.min_epochs = None  # with which it would not listen


class SeedEpoch(Callback):
    """Seed the global random numbers (dropout, mixing) of each epoch from seed, epoch and process alone.

    So a resumed run draws what an uninterrupted one would have drawn.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed them before the first batch; a loader may draw a number after the start of the epoch."""
        if batch_idx == 0:
            purpose = f"epoch, process {trainer.global_rank}"
            torch.manual_seed(seeded(purpose, self.seed, trainer.current_epoch).initial_seed())


class FiniteLoss(Callback):
    """Stop at a loss that is NaN or infinite; the checkpoints of earlier epochs stay as they are.

    On an accelerator reading the loss would make every step wait, so the first bad step is kept on the device
    and looked at every 50 steps and before anything is validated or saved.
    """

    _first_bad: Tensor

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin without a bad step."""
        self._first_bad = torch.full((), torch.iinfo(torch.int64).max, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step if its loss is no number; a batch without a readable picture has none."""
        if not outputs:
            return
        bad = torch.where(torch.isfinite(outputs["loss"]), self._first_bad, trainer.global_step)
        self._first_bad = torch.minimum(self._first_bad, bad)
        if pl_module.device.type == "cpu" or trainer.global_step % 50 == 0:
            self._check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before a validation."""
        if not trainer.sanity_checking:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before the epoch's checkpoint."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        step = int(self._first_bad)
        if step < torch.iinfo(torch.int64).max:
            raise FerError(
                f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}). "
                "Training stopped; checkpoints of earlier epochs are kept. Try a lower optimizer.lr, "
                "trainer.gradient_clip_val=1.0 or trainer.precision=32-true."
            )


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a run folder that may have been moved before it goes on.

    Lightning forgets the best score where the folder's path is another, and would write a worse epoch over
    the best one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state over, its files being those of the same name in this folder."""
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved: dict[str, Any] = {name: self._here(state_dict[name]) for name in paths}
        moved["best_k_models"] = {
            self._here(path): score for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict({**state_dict, **moved, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else path


def checkpoints(folder: Path, monitor: str) -> list[Callback]:
    """Return the callbacks that write ``best.ckpt`` (by ``monitor``) and ``last.ckpt`` (each epoch)."""
    best = RunCheckpoint(
        folder, "best", monitor=monitor, mode=mode_of(monitor), auto_insert_metric_name=False,
        enable_version_counter=False,
    )  # fmt: skip
    last = RunCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]
