"""Optimizers by name through timm's factory, and learning-rate schedules by name from torch."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from timm.optim import create_optimizer_v2, list_optimizers
from torch import nn
from torch.optim import Optimizer
from torch.optim import lr_scheduler as lrs

from fer.errors import FerError, did_you_mean


def build_optimizer(model: nn.Module, config: Mapping[str, Any]) -> Optimizer:
    """Build an optimizer; weight decay is kept off norms and biases.

    Args:
        model: Its trainable parameters are optimised.
        config: ``name`` as in ``timm.optim.list_optimizers()``, ``lr``, ``weight_decay`` and whatever else
            that optimizer takes (``momentum``, ``betas``, …).

    Raises:
        FerError: timm knows no optimizer of that name, or it does not take one of the options.
    """
    options = dict(config)
    name = options.pop("name")
    known = [str(word) for word in list_optimizers()]
    if name not in known:
        hint = did_you_mean(name, known)
        raise FerError(f"optimizer.name: timm has no optimizer {name!r}.{hint}")
    try:
        return create_optimizer_v2(model, opt=name, **options)
    except (TypeError, ValueError) as error:
        raise FerError(f"optimizer {name} does not take these options: {error}") from error


def build_scheduler(
    optimizer: Optimizer, config: Mapping[str, Any], total_steps: int, steps_per_epoch: int, monitor: str
) -> dict[str, Any]:
    """Build a schedule in the shape that Lightning's ``configure_optimizers`` returns.

    Args:
        optimizer: Its learning rate is the peak of the schedule.
        config: ``name`` (one of `SCHEDULES`) and that schedule's numbers.
        total_steps: Optimizer steps of the whole training.
        steps_per_epoch: Optimizer steps of an epoch.
        monitor: Metric that ``plateau`` watches.

    Raises:
        FerError: The name is unknown, or a number makes no schedule.
    """
    name = config["name"]
    if name not in SCHEDULES:
        hint = did_you_mean(name, SCHEDULES)
        raise FerError(f"scheduler.name: expected one of {', '.join(SCHEDULES)}, got {name!r}.{hint}")
    try:
        if name == "plateau":
            return _plateau(optimizer, config, monitor)
        scheduler = SCHEDULES[name](optimizer, config, total_steps, steps_per_epoch)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise FerError(f"scheduler {name} does not take these options: {error}") from error
    return {"scheduler": scheduler, "interval": "step"}


def _constant(optimizer: Optimizer, config: Mapping[str, Any], *_: int) -> lrs.LRScheduler:
    return lrs.ConstantLR(optimizer, factor=1.0)


def _step(
    optimizer: Optimizer, config: Mapping[str, Any], total_steps: int, steps_per_epoch: int
) -> lrs.LRScheduler:
    if config["every_epochs"] <= 0:
        raise ValueError(f"every_epochs must be positive, got {config['every_epochs']}")
    every = max(1, round(config["every_epochs"] * steps_per_epoch))
    return lrs.StepLR(optimizer, step_size=every, gamma=config["gamma"])


def _cosine(optimizer: Optimizer, config: Mapping[str, Any], total_steps: int, _: int) -> lrs.LRScheduler:
    """Linear warm-up, then half a cosine down to ``final_share`` of the peak (Loshchilov & Hutter 2017)."""
    warmup = max(1, round(config["warmup_share"] * total_steps))
    floor = config["final_share"] * max(group["lr"] for group in optimizer.param_groups)
    up = lrs.LinearLR(optimizer, start_factor=1.0 / (warmup + 1), total_iters=warmup)
    down = lrs.CosineAnnealingLR(optimizer, T_max=max(1, total_steps - warmup), eta_min=floor)
    return lrs.SequentialLR(optimizer, [up, down], milestones=[warmup])


def _onecycle(optimizer: Optimizer, config: Mapping[str, Any], total_steps: int, _: int) -> lrs.LRScheduler:
    """Up, then down to almost nothing (Smith & Topin 2018, https://arxiv.org/abs/1708.07120)."""
    return lrs.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=max(2, total_steps),
        pct_start=config["warmup_share"],
        anneal_strategy=config["anneal"],
        cycle_momentum=False,
        div_factor=config["div_factor"],
        final_div_factor=config["final_div_factor"],
    )


def _plateau(optimizer: Optimizer, config: Mapping[str, Any], monitor: str) -> dict[str, Any]:
    mode = mode_of(monitor)
    scheduler = lrs.ReduceLROnPlateau(
        optimizer, mode=mode, factor=config["factor"], patience=config["patience"], threshold=0.0
    )
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "onecycle": _onecycle,
    "plateau": _plateau,
}


def mode_of(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` where less is better (losses, calibration errors), else ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"
