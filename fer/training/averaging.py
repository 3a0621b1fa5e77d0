"""The exponential moving average of a model's weights over the steps of its training."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from fer.errors import FerError


class ExponentialAverage(WeightAveraging):
    """An exponential moving average of weights and buffers; validation and checkpoints use it.

    Polyak & Juditsky 1992; Tarvainen & Valpola 2017, https://arxiv.org/abs/1703.01780. Its bias towards the
    first weights is taken out as Adam does it (Kingma & Ba 2015, section 3,
    https://arxiv.org/abs/1412.6980), so that a run of few steps does not end near where it began.

    Args:
        decay: What a step leaves of the average, in (0, 1).

    Raises:
        FerError: The decay is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise FerError(f"ema_decay: expected a number between 0 and 1, e.g. 0.998, got {decay}.")
        super().__init__()
        self.decay, self._steps = decay, 0
        self._exact: list[Tensor] = []
        self._pairs: list[tuple[Tensor, Tensor]] = []  # average and value, gathered once: a walk takes longer

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether a step was done, and count it; the step is known here without asking the device."""
        if step_idx is None:
            return False
        self._steps = step_idx + 1
        return True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the average to the model's device, which it gets after the average was made.

        Else each step would copy all weights to the processor and wait for them. Half precision is averaged
        in single, or small steps would be rounded away; double in double.
        """
        assert self._average_model is not None
        self._pairs = list(zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True))
        for average, value in self._pairs:
            larger = value.dtype if value.dtype.itemsize > average.dtype.itemsize else average.dtype
            average.data = average.data.to(value.device, larger)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        """Swap the model's weights and the average; one that is finer than the model comes back as it was."""
        averages, exact = [average for average, _ in self._pairs], self._exact
        is_finer = any(average.dtype != value.dtype for average, value in self._pairs)
        self._exact = [value.data.clone() for value in averages] if is_finer and not exact else []
        super()._swap_models(pl_module)
        for average, value in zip(averages, exact, strict=False):
            average.data.copy_(value)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights of a step.

        `AveragedModel.update_parameters` would copy its count of steps to the device, and wait for that.
        """
        if trainer.global_step > self._latest_update_step and self.should_update(trainer.global_step - 1):
            self._latest_update_step = trainer.global_step
            assert self._average_model is not None
            self.move(self._pairs)
            self._average_model.n_averaged += 1

    @torch.no_grad()
    def move(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Move averages towards their values; counts are taken as they are, and in the first step all is."""
        moving = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        share = (1 - self.decay) / (1 - self.decay**self._steps)
        torch._foreach_lerp_([a for a, _ in moving], [value.to(a.dtype) for a, value in moving], share)
        if counts:
            torch._foreach_copy_([average for average, _ in counts], [value for _, value in counts])


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
