"""Learning-rate schedules by name: those of torch, and registered ones."""

import math
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim import lr_scheduler as lrs

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.registry import SCHEDULERS
from fer.core.signature import accepted, accepts
from fer.training.metrics import monitor_mode
from fer.training.recipe import SchedulerConfig


def build_scheduler(
    optimizer: Optimizer,
    schedule: Part,
    total_steps: float,
    steps_per_epoch: int,
    monitor: str,
    mode: Literal["min", "max"] | None = None,
) -> dict[str, Any]:
    """Build a schedule in the shape that Lightning's ``configure_optimizers`` returns.

    Args:
        optimizer: Its learning rate is the peak of the schedule.
        schedule: The `SchedulerConfig`, its plain values, or its name.
        total_steps: Optimizer steps of the training; infinity if it is unlimited.
        steps_per_epoch: Optimizer steps of an epoch.
        monitor: Metric that ``plateau`` watches.
        mode: Whether a lower or a higher value of it is better; None: that of `monitor_mode`.

    Raises:
        FerError: An option is invalid, torch refuses a combination, or a schedule that depends on the number
            of steps gets infinity.
    """
    config = SchedulerConfig.of(schedule)
    entry = SCHEDULERS.get(config.name)
    if accepts(entry.build, "total_steps") and total_steps == math.inf:
        raise FerError(
            f"scheduler={config.name}: expected a Trainer with max_epochs or max_steps, which the schedule "
            "depends on, got neither. Set one of them, or use scheduler=constant."
        )
    steps = {} if total_steps == math.inf else {"total_steps": int(total_steps)}
    given = {**steps, "steps_per_epoch": steps_per_epoch, "mode": mode or monitor_mode(monitor)}
    try:
        scheduler = entry.build(optimizer, **accepted(entry.build, given), **config.options())
    except (TypeError, ValueError, ZeroDivisionError) as error:
        if not entry.is_builtin:
            raise
        raise FerError(f"scheduler={config.name}: invalid options: {error}") from error
    if isinstance(scheduler, lrs.ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}
    if not isinstance(scheduler, lrs.LRScheduler):
        raise FerError(
            f"scheduler={config.name}: expected {entry.origin} to return an LRScheduler of torch, got a "
            f"{type(scheduler).__name__}."
        )
    return {"scheduler": scheduler, "interval": entry.facts.get("interval", "step")}


def constant(optimizer: Optimizer) -> lrs.LRScheduler:
    """Return a constant learning rate."""
    return lrs.ConstantLR(optimizer, factor=1.0)


def cosine(
    optimizer: Optimizer, total_steps: int, warmup_share: float, final_share: float
) -> lrs.LRScheduler:
    """Return a linear warm-up, then a cosine decay to ``final_share`` of the peak.

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.
    """
    warmup = max(1, round(warmup_share * total_steps))
    length, floor = max(1, total_steps - warmup), final_share
    up = lrs.LinearLR(optimizer, start_factor=1.0 / (warmup + 1), total_iters=warmup)
    # A factor keeps the ratios between the rates of the layers; CosineAnnealingLR has one minimum for all.
    down = lrs.LambdaLR(
        optimizer, lambda step: floor + (1 - floor) * (1 + math.cos(math.pi * min(step / length, 1.0))) / 2
    )
    return lrs.SequentialLR(optimizer, [up, down], milestones=[warmup])


def onecycle(
    optimizer: Optimizer,
    total_steps: int,
    warmup_share: float,
    anneal: Literal["cos", "linear"],
    div_factor: float,
    final_div_factor: float,
) -> lrs.LRScheduler:
    """Return a warm-up, then a decay to almost zero (Smith & Topin 2018, https://arxiv.org/abs/1708.07120)."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return lrs.OneCycleLR(
        optimizer, peaks, max(2, total_steps), pct_start=warmup_share, anneal_strategy=anneal,
        cycle_momentum=False, div_factor=div_factor, final_div_factor=final_div_factor,
    )  # fmt: skip


def plateau(
    optimizer: Optimizer, mode: Literal["min", "max"], factor: float, patience: int
) -> lrs.ReduceLROnPlateau:
    """Return a learning rate that falls when the monitored metric stops improving."""
    return lrs.ReduceLROnPlateau(optimizer, mode, factor, patience, threshold=0.0)


def step(optimizer: Optimizer, steps_per_epoch: int, every_epochs: float, gamma: float) -> lrs.LRScheduler:
    """Return a learning rate that is multiplied by ``gamma`` every ``every_epochs`` epochs."""
    every = max(1, round(every_epochs * steps_per_epoch))
    return lrs.StepLR(optimizer, step_size=every, gamma=gamma)
