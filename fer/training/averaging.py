"""Averages of the weights during training: exponential (``ema=true``) and stochastic (``callbacks=swa``).

Validation and checkpoints use the average; a resumed run continues with both the average and the weights.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer.core.errors import FerError


class _DeviceAverage(WeightAveraging):
    """Average on the model's device, in float32 or higher precision."""

    def __init__(self) -> None:
        super().__init__()
        self._exact: list[Tensor] = []
        # (average, current value); collected once, because walking over the modules at each step is slower
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the model's device, which is set after the average was created.

        Otherwise each step would copy all weights to the CPU and wait for the device. Half-precision weights
        are averaged in float32, because small updates would be rounded away; float64 stays float64.
        """
        assert self._average_model is not None
        self._pairs = list(zip(_tensors(self._average_model.module), _tensors(pl_module), strict=True))
        for average, value in self._pairs:
            is_larger = value.dtype.itemsize > average.dtype.itemsize
            average.data = average.data.to(value.device, value.dtype if is_larger else average.dtype)

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


class ExponentialAverage(_DeviceAverage):
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
        super().__init__()
        self.decay = decay

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimizer step.

        `AveragedModel.update_parameters` is not used: it copies its step count to the device and waits.
        """
        if trainer.global_step > self._latest_update_step:
            self._latest_update_step = trainer.global_step
            assert self._average_model is not None
            self.update_average(self._pairs, trainer.global_step)
            self._average_model.n_averaged += 1

    @torch.no_grad()
    def update_average(self, pairs: Sequence[tuple[Tensor, Tensor]], steps: int) -> None:
        """Move averages towards current values in place; integer tensors (counters) are copied.

        Args:
            pairs: (average, current value) for each parameter and buffer.
            steps: Optimizer steps so far, 1 or more.
        """
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        integers = [pair for pair in pairs if not pair[0].is_floating_point()]
        # bias-corrected weight of the current values; 1 at the first step
        weight = (1 - self.decay) / (1 - self.decay**steps)
        torch._foreach_lerp_([a for a, _ in floats], [value.to(a.dtype) for a, value in floats], weight)
        if integers:
            torch._foreach_copy_([average for average, _ in integers], [value for _, value in integers])


class StochasticAverage(_DeviceAverage):
    """Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

    Izmailov et al. 2018, https://arxiv.org/abs/1803.05407. From the start on the learning rate stays at its
    value, so that the averaged weights differ. Batch-norm statistics are those of the averaged network, from
    a pass over the training images, before each validation.

    The class name is the key of the callback's state in checkpoints.

    Attributes:
        epochs: Number of averaged epochs.

    Args:
        start: Fraction of the training after which averaging starts, in [0, 1).
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start, self.epochs = start, 0
        self._rates: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the training has an end, and hold the rate of a resumed run."""
        if not trainer.estimated_stepping_batches < float("inf"):
            raise FerError("callbacks.swa: expected a training with an end. Set trainer.max_epochs.")
        self._hold_rate(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hold the learning rate, which schedules by epoch have changed."""
        self._hold_rate(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights at the end of an epoch to the mean, and hold the learning rate."""
        steps, total = trainer.global_step, trainer.estimated_stepping_batches
        is_end = trainer.is_last_batch or steps >= total
        if is_end and steps > self._latest_update_step and steps >= self.start * total:
            self._latest_update_step = steps
            self._add(trainer, pl_module)
        self._hold_rate(trainer)

    def _add(self, trainer: pl.Trainer, pl_module: Any) -> None:
        assert self._average_model is not None
        if not self.epochs:
            self._rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        with torch.no_grad():
            for average, value in self._pairs:
                current = value.to(average.dtype)
                is_counter = not average.is_floating_point()
                average.copy_(current if is_counter else average.lerp(current, 1 / (self.epochs + 1)))
        self.epochs += 1
        pl_module.log("train/swa_epochs", float(self.epochs), on_step=False, on_epoch=True)
        self._swap_models(pl_module)
        update_batch_norm(trainer, pl_module)
        statistics = [buffer.clone() for buffer in pl_module.buffers()]
        self._swap_models(pl_module)
        for buffer, statistic in zip(self._average_model.module.buffers(), statistics, strict=True):
            buffer.copy_(statistic)

    def _hold_rate(self, trainer: pl.Trainer) -> None:
        if self.epochs:
            for group, rate in zip(trainer.optimizers[0].param_groups, self._rates, strict=True):
                group["lr"] = rate

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do nothing: the epoch was added before its validation."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the mean in the model."""
        if self.epochs:
            super().on_train_end(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the mean, once there is one."""
        if self.epochs:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Continue with the current weights."""
        if self.epochs:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the mean as the weights, once there is one."""
        if self.epochs:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """Return the last step that was averaged, the number of epochs and the rate to hold."""
        return super().state_dict() | {"epochs": self.epochs, "rates": self._rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        super().load_state_dict(state_dict)
        self.epochs, self._rates = state_dict["epochs"], state_dict["rates"]


@torch.no_grad()
def update_batch_norm(trainer: pl.Trainer, pl_module: Any) -> None:
    """Compute the batch-norm statistics of a network anew, with the training images of the epoch.

    Dropout is off. With several processes the statistics are their mean.
    """
    layers = [layer for layer in pl_module.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    modes = [(layer, layer.training) for layer in pl_module.modules()]
    momenta = [layer.momentum for layer in layers]
    pl_module.eval()
    for layer in layers:
        layer.reset_running_stats()
        # None: the mean over all batches.
        layer.momentum = None
        layer.train()
    for number, batch in enumerate(trainer.train_dataloader or ()):
        if number >= trainer.num_training_batches:
            break
        # Augmentation is not done in half precision, as in training.
        image = trainer.strategy.batch_to_device(batch, dataloader_idx=0)["image"]
        with trainer.precision_plugin.forward_context():
            pl_module(image)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        for statistic in (layer.running_mean, layer.running_var):
            if statistic is not None:
                statistic.copy_(trainer.strategy.reduce(statistic.clone(), reduce_op="mean"))
    for layer, is_training in modes:
        layer.training = is_training


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
