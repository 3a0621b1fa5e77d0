"""Training metrics of the last steps, every ``trainer.log_every_n_steps`` steps."""

import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from fer.training.lightning_loggers import prepare_loggers

# Steps if the option is null.
DEFAULT_STEPS = 50


class StepMetrics(Callback):
    """Log loss, accuracy and images/s of the last steps, and the learning rates, to W&B and TensorBoard.

    The names are ``train/loss_step``, ``train/accuracy_step``, ``perf/images_per_second_step`` and ``lr``; if
    layers have different rates, also ``lr/1``, ``lr/2``, … from the highest on. Sums stay on the device and
    are read once for all steps, so that a step never waits. Of several processes the first logs its own
    images.

    Args:
        every: Number of optimizer steps; None: 50, or an epoch if it is shorter; 0: log nothing.
    """

    def __init__(self, every: int | None) -> None:
        self.every = every
        # Steps at the last reading, sums of the epoch then, and the time.
        self._step, self._sums, self._time = 0, [0.0, 0.0, 0.0], 0.0
        self._groups: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Let the loggers count steps as the trainer does."""
        prepare_loggers(trainer, pl_module.labels.names)
        self._groups = _distinct_groups(trainer.optimizers[0])
        # A run resumed within an epoch does not call the next one for it.
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start with the first step of the epoch, whose sums are 0."""
        self._step, self._sums, self._time = trainer.global_step, [0.0, 0.0, 0.0], time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Stop the clock; a validation within an epoch is not training."""
        self._time -= time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock again."""
        self._time += time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Log the last steps if enough have passed."""
        every = min(DEFAULT_STEPS, trainer.num_training_batches) if self.every is None else self.every
        if not every or trainer.global_step == self._step or trainer.global_step % every:
            return
        if "train" not in pl_module.sums:
            return
        # Waits for the device.
        sums = pl_module.sums["train"].tolist()
        loss, correct, images = (now - before for now, before in zip(sums, self._sums, strict=True))
        now = time.perf_counter()
        if images:
            metrics = {
                "train/loss_step": loss / images,
                "train/accuracy_step": correct / images,
                "perf/images_per_second_step": images * trainer.world_size / (now - self._time),
                "epoch": trainer.current_epoch,
                **self._rates(trainer.optimizers[0]),
            }
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=trainer.global_step)
        self._step, self._sums, self._time = trainer.global_step, sums, now

    def _rates(self, optimizer: Optimizer) -> dict[str, float]:
        rates = [optimizer.param_groups[i]["lr"] for i in self._groups]
        several = {f"lr/{i}": rate for i, rate in enumerate(rates, 1)} if len(rates) > 1 else {}
        return {"lr": max(rates), **several}


def _distinct_groups(optimizer: Optimizer) -> list[int]:
    """Return for each different peak rate the first parameter group that has it, from the highest rate on."""
    first: dict[float, int] = {}
    for i, group in enumerate(optimizer.param_groups):
        first.setdefault(float(group.get("initial_lr", group["lr"])), i)
    return [first[rate] for rate in sorted(first, reverse=True)]
