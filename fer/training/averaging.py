"""Exponential moving average (EMA) of model weights during training."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from fer.errors import FerError


class ExponentialAverage(WeightAveraging):
    """Exponential moving average of weights and buffers; validation and checkpoints use it.

    Polyak & Juditsky 1992; Tarvainen & Valpola 2017, https://arxiv.org/abs/1703.01780. The bias towards the
    initial weights is corrected as in Adam (Kingma & Ba 2015, section 3, https://arxiv.org/abs/1412.6980), so
    that the average of a short run is not dominated by them.

    The class name is the key of the callback's state in checkpoints.

    Args:
        decay: Factor of the previous average at each step, in (0, 1).

    Raises:
        FerError: The decay is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise FerError(f"ema_decay: expected a number between 0 and 1, e.g. 0.998, got {decay}.")
        super().__init__()
        self.decay, self._steps = decay, 0
        self._exact: list[Tensor] = []
        # (average, current value); collected once, because walking over the modules at each step is slower
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether to update the average; True after each step, which is counted on the CPU."""
        if step_idx is None:
            return False
        self._steps = step_idx + 1
        return True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the model's device, which is set after the average was created.

        Otherwise each step would copy all weights to the CPU and wait for the device. Half-precision weights
        are averaged in float32, because small updates would be rounded away; float64 stays float64.
        """
        assert self._average_model is not None
        self._pairs = list(zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True))
        for average, value in self._pairs:
            larger = value.dtype if value.dtype.itemsize > average.dtype.itemsize else average.dtype
            average.data = average.data.to(value.device, larger)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        """Swap the model's weights and the average.

        An average with a higher precision than the model is restored exactly by the second swap.
        """
        averages, exact = [average for average, _ in self._pairs], self._exact
        is_finer = any(average.dtype != value.dtype for average, value in self._pairs)
        self._exact = [value.data.clone() for value in averages] if is_finer and not exact else []
        super()._swap_models(pl_module)
        for average, value in zip(averages, exact, strict=False):
            average.data.copy_(value)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimizer step.

        `AveragedModel.update_parameters` is not used: it copies its step count to the device and waits.
        """
        if trainer.global_step > self._latest_update_step and self.should_update(trainer.global_step - 1):
            self._latest_update_step = trainer.global_step
            assert self._average_model is not None
            self.update_average(self._pairs)
            self._average_model.n_averaged += 1

    @torch.no_grad()
    def update_average(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Move averages towards current values in place; integer tensors (counters) are copied.

        Args:
            pairs: (average, current value) for each parameter and buffer.
        """
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        integers = [pair for pair in pairs if not pair[0].is_floating_point()]
        # bias-corrected weight of the current values; 1 at the first step
        weight = (1 - self.decay) / (1 - self.decay**self._steps)
        torch._foreach_lerp_([a for a, _ in floats], [value.to(a.dtype) for a, value in floats], weight)
        if integers:
            torch._foreach_copy_([average for average, _ in integers], [value for _, value in integers])


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
