"""The exponential moving average of a model's weights over the steps of its training."""

from typing import Any

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

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

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether a step was done, and count it; the step is known here without asking the device."""
        if step_idx is None:
            return False
        self._steps = step_idx + 1
        return True

    @torch.no_grad()
    def _average(self, averages: list[Tensor], values: list[Tensor], _: Any) -> None:
        """Move tensors of one kind towards their values; counts are taken as they are."""
        if averages[0].is_floating_point():
            share = (1 - self.decay) / (1 - self.decay**self._steps)
            torch._foreach_lerp_(averages, values, share)
        else:
            torch._foreach_copy_(averages, values)
