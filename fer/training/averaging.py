"""The exponential moving average of a model's weights over the steps of its training."""

from collections.abc import Iterator
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
        super().__init__(multi_avg_fn=self._average)
        self.decay, self._steps = decay, 0
        self._exact: list[Tensor] = []

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
        pairs = zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True)
        for average, value in pairs:
            larger = value.dtype if value.dtype.itemsize > average.dtype.itemsize else average.dtype
            average.data = average.data.to(value.device, larger)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        """Swap the model's weights and the average; one that is finer than the model comes back as it was."""
        assert self._average_model is not None
        averages, exact = list(_tensors(self._average_model.module)), self._exact
        kinds = [(one.dtype, other.dtype) for one, other in zip(averages, _tensors(pl_module), strict=True)]
        is_finer = any(one != other for one, other in kinds)
        self._exact = [value.data.clone() for value in averages] if is_finer and not exact else []
        super()._swap_models(pl_module)
        for average, value in zip(averages, exact, strict=False):
            average.data.copy_(value)

    @torch.no_grad()
    def _average(self, averages: list[Tensor], values: list[Tensor], _: Any) -> None:
        """Move tensors of one kind towards their values; counts are taken as they are."""
        if averages[0].is_floating_point():
            share = (1 - self.decay) / (1 - self.decay**self._steps)
            torch._foreach_lerp_(averages, [value.to(averages[0].dtype) for value in values], share)
        else:
            torch._foreach_copy_(averages, values)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
