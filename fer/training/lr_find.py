"""``lr_find=true``: a learning-rate range test, with its curve, a suggestion, and the command that uses it.

Smith 2017, https://arxiv.org/abs/1506.01186: the rate rises exponentially over some steps, until the loss
rises. A tenth of that rate is suggested. The steepest descent, which Lightning's Tuner suggests, was up to a
hundred times too low (docs/decisions/0018-common-options.md). The weights are discarded.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from fer.analysis.plots.style import save_figure
from fer.analysis.plots.tuning import plot_lr_find
from fer.core.errors import FerError
from fer.training.config import RunConfig
from fer.training.probe import command_with, fit_steps

STEPS = 100
# Powers of ten below and above optimizer.lr.
_DECADES = 3.0
# Weight of the previous value in the smoothed loss, as an exponential average with bias correction.
_SMOOTHING = 0.9
# The test stops when the smoothed loss is so many times the lowest one.
_DIVERGED = 4.0
# Steps at the start whose smoothed loss is that of a few batches.
_SKIPPED = 8
# Fraction of the whole descent by which a loss may exceed the lowest one.
_NEAR = 0.1
# The suggestion as a fraction of the rate from which the loss rises.
_SHARE = 0.1


@dataclass(frozen=True)
class LearningRateTest:
    """The result of a range test.

    Attributes:
        rates: Learning rate of each step: that of the parameter group with the highest one.
        losses: Training loss of each step.
        smooth: Smoothed losses.
        rising: Rate from which the loss rises; None if it did not fall.
        suggestion: A tenth of it, with two digits.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smooth: Sequence[float]
    rising: float | None

    @property
    def suggestion(self) -> float | None:  # noqa: D102 - see above
        return None if self.rising is None else float(f"{_SHARE * self.rising:.1e}")


def lr_find(config: RunConfig, folder: Path) -> LearningRateTest:
    """Run the test, write ``lr_find.png`` and ``lr_find.csv``, and print the suggestion.

    Args:
        config: The config of the run; rates from a thousandth to a thousand times ``optimizer.lr`` are tried.
        folder: An existing folder.

    Raises:
        FerError: The data or an option is wrong, or too few steps had a finite loss.
    """
    callback = _RisingRate()
    fit_steps(config, STEPS, folder, callback)
    if len(callback.losses) < 2 * _SKIPPED:
        raise FerError(
            f"lr_find: expected a loss that is finite for some steps, but it diverged after "
            f"{len(callback.losses)}. Set a lower optimizer.lr to start from."
        )
    smooth = smoothed(callback.losses)
    rates = callback.rates
    result = LearningRateTest(rates, callback.losses, smooth, rising_rate(rates, smooth))
    title = f"Learning rate of {config.model.name} with {config.optimizer.name}"
    figure = plot_lr_find(rates, callback.losses, smooth, result.rising, result.suggestion, title)
    save_figure(figure, folder / "lr_find.png")
    with (folder / "lr_find.csv").open("w", newline="", encoding="utf-8") as file:
        rows = zip(rates, callback.losses, smooth, strict=True)
        csv.writer(file).writerows([("lr", "loss", "smooth"), *rows])
    print(f"curve    {folder / 'lr_find.png'}")
    if result.suggestion is None:
        print("lr_find  no suggestion: the loss did not fall. Look at the curve, or change optimizer.lr.")
    else:
        print(f"lr_find  suggestion {result.suggestion:g}: a tenth of the rate from which the loss rises")
        print("train    ", end="")
        print(command_with("lr_find", f"optimizer.lr={result.suggestion:g}"), flush=True)
    return result


def smoothed(losses: Sequence[float]) -> list[float]:
    """Return the exponential average of losses, without a bias towards 0."""
    average, result = 0.0, []
    for step, loss in enumerate(losses, 1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        result.append(average / (1 - _SMOOTHING**step))
    return result


def rising_rate(rates: Sequence[float], smooth: Sequence[float]) -> float | None:
    """Return the highest rate at which the loss is still near its lowest; None if it did not fall."""
    lowest, start = min(smooth), smooth[_SKIPPED]
    if smooth.index(lowest) <= _SKIPPED:
        return None
    near = lowest + _NEAR * (start - lowest)
    return max(rate for rate, loss in zip(rates, smooth, strict=True) if loss <= near)


class _RisingRate(Callback):
    """Raise the learning rates exponentially, in their proportion to each other, and record the losses."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._lowest = math.inf

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Read the rates of the config."""
        self._initial = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the rates of the step."""
        factor = 10 ** (_DECADES * (2 * trainer.global_step / (STEPS - 1) - 1))
        for group, rate in zip(trainer.optimizers[0].param_groups, self._initial, strict=True):
            group["lr"] = rate * factor

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the loss, and stop when it diverges."""
        if not outputs:
            return
        loss = float(outputs["loss"])
        if math.isfinite(loss):
            self.rates.append(max(group["lr"] for group in trainer.optimizers[0].param_groups))
            self.losses.append(loss)
            current = smoothed(self.losses)[-1]
            self._lowest = min(self._lowest, current)
            if len(self.losses) > 2 * _SKIPPED and current > _DIVERGED * self._lowest:
                trainer.should_stop = True
        else:
            trainer.should_stop = True
