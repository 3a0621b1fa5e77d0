"""Lightning callbacks of a training run.

Checkpoints, seeds of epochs, freezing of the backbone, and three reasons to stop: a loss that is not finite,
``trainer.max_steps``, and early stopping that had triggered before a run was resumed.
"""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from fer.core.errors import FerError
from fer.core.threads import CoreWait, busy_warning
from fer.data.loaders import seeded_generator
from fer.training.metrics import is_known_after_validation


class RestoreEarlyStop(Callback):
    """Stop a resumed run whose early stopping had triggered before the run was killed."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Check the early-stopping state of the checkpoint before the first epoch."""
        for stopping in trainer.early_stopping_callbacks:
            if stopping.wait_count and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True


class BusyCoresWarning(Callback):
    """Warn once, at the end of an epoch, if threads of the run waited long for CPU cores.

    Args:
        after: Seconds to measure for.
        max_share: Share of waiting above which the warning is printed, in [0, 1].
    """

    def __init__(self, after: float = 10.0, max_share: float = 0.25) -> None:
        self.after, self.max_share = after, max_share
        self._wait: CoreWait | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start to measure."""
        self._wait, self._start = CoreWait(), time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Print the warning."""
        if self._wait is None or time.perf_counter() - self._start < self.after:
            return
        if text := busy_warning(self._wait.share(), self.max_share):
            bar = trainer.progress_bar_callback
            (bar.print if bar else print)(text)
            self._wait = None


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

    Reading the loss would synchronise with the accelerator at each step. So the number of the first bad step
    is kept on the device. It is read every 50 steps (on a CPU at each step) and before each validation and
    checkpoint.
    """

    _first_bad_step: Tensor

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
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
            self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, pl_module: Any) -> None:
        step = int(self._first_bad_step)
        if step < torch.iinfo(torch.int64).max:
            raise FerError(
                f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}). "
                "Training stopped; checkpoints of earlier epochs are kept. Try a lower optimizer.lr, "
                "trainer.gradient_clip_val=1.0 or trainer.precision=32-true."
            )

    # The second one is called before the checkpoint of the epoch is written.
    on_validation_start = on_train_epoch_end = _check


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


def checkpoint_callbacks(folder: Path, monitor: str, mode: str, validation_epochs: int = 1) -> list[Callback]:
    """Return the callbacks that write ``best.ckpt`` (by ``monitor``) and ``last.ckpt`` (each epoch).

    Args:
        folder: Folder of the checkpoints.
        monitor, mode: The metric that selects the best one, and whether ``min`` or ``max`` is better.
        validation_epochs: Epochs from one validation to the next; others are not compared.
    """
    late = is_known_after_validation(monitor)
    timing: dict[str, Any] = {"save_on_train_epoch_end": True, "every_n_epochs": validation_epochs}
    best = RunCheckpoint(
        folder, "best", monitor=monitor, mode=mode, auto_insert_metric_name=False,
        enable_version_counter=False, **(timing if late else {}),
    )  # fmt: skip
    last = RunCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]


class FrozenBackbone(Callback):
    """Freeze weights and batch-norm statistics of the backbone for the first epochs.

    The new head is trained first, so that its large initial gradients do not distort the pretrained features
    (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Whether the backbone is frozen depends on the epoch
    number alone, so a resumed run freezes the same epochs. All parameters are in the optimizer from the start
    (which skips those without a gradient), so schedules are not affected.

    Args:
        epochs: Number of epochs to freeze for, 0 or more.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Check that the strategy allows parameters without gradients.

        Raises:
            FerError: The strategy is plain DDP, which waits for all gradients.
        """
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
            raise FerError(
                "model.freeze_epochs on several devices: expected a strategy that allows parameters without "
                "gradients, got ddp. Use trainer.strategy=ddp_find_unused_parameters_true."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Freeze or unfreeze; a run resumed within an epoch does not call ``on_train_epoch_start`` for it."""
        is_trainable = trainer.current_epoch >= self.epochs
        pl_module.model.backbone.train(is_trainable).requires_grad_(is_trainable)

    on_train_epoch_start = on_train_start
