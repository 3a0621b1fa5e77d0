"""Optimizers by name (timm's, Muon, SAM), and learning-rate schedules by name (torch's)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim import lr_scheduler as lrs

from fer.core.config import Part
from fer.core.errors import FerError, did_you_mean
from fer.training.metrics import monitor_mode
from fer.training.muon import Muon
from fer.training.recipe import (
    CosineConfig,
    OneCycleConfig,
    OptimizerConfig,
    PlateauConfig,
    SchedulerConfig,
    StepConfig,
)


def build_optimizer(model: nn.Module, optimizer: Part) -> Optimizer:
    """Build an optimizer; weight decay is not applied to norms and biases.

    Args:
        model: Its trainable parameters are optimised.
        optimizer: The `OptimizerConfig`, its plain values, or its name. With ``layer_decay`` a layer ``d``
            layers below the head has the learning rate ``lr * layer_decay ** d`` (BEiT, Bao et al. 2022,
            https://arxiv.org/abs/2106.08254); layers are those of ``model.group_matcher``. With the name
            ``sam``, ``base`` is the name of the base optimizer (``adamw``), and ``rho`` (0.05) is for `SAM`.

    Raises:
        FerError: timm has no optimizer of that name, or it does not accept one of the options.
    """
    config = OptimizerConfig.of(optimizer)
    options = config.options()
    if config.name == "sam":
        base, rho = options.pop("base", "adamw"), options.pop("rho", 0.05)
        _check_known("optimizer.base", base)
        return SAM(build_optimizer(model, OptimizerConfig.from_dict({"name": base, **options})), model, rho)
    _check_known("optimizer.name", config.name)
    try:
        built = create_optimizer_v2(model, opt=config.name, **options)
    except (AssertionError, ImportError, IndexError, TypeError, ValueError) as error:
        raise FerError(f"optimizer={config.name}: invalid options: {error}") from error
    if config.name == "muon":
        built = Muon(built.param_groups, **built.defaults)
    # timm's own schedules apply its ``lr_scale``, torch's do not.
    for group in built.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    return built


def _check_known(key: str, name: str) -> None:
    known = [str(optimizer) for optimizer in list_optimizers()]
    if name not in known:
        raise FerError(f"{key}: expected an optimizer of timm, got {name!r}.{did_you_mean(name, known)}")
    if name == "adahessian":
        raise FerError(
            f"{key}: expected an optimizer that uses first derivatives only, got adahessian, which needs "
            "second derivatives. Choose another one."
        )


class SAM(Optimizer):
    """Optimizer that steps along the gradient at the worst point nearby, which leads to flat minima.

    Foret et al. 2021, https://arxiv.org/abs/2010.01412: the weights move by ``rho`` along their gradient, the
    gradient is computed there, the weights move back, and the base optimizer steps with that gradient. A step
    calls its closure twice, so it takes twice the time, and stores a copy of the weights. Dropout masks
    differ between the two passes; batch-norm statistics are updated in the first pass only. With several
    processes, all use the mean of their gradients.

    Parameter groups, state, checkpoints and schedules are those of the base optimizer.

    Args:
        base: The optimizer that does the step.
        model: The network; its batch-norm statistics are fixed in the second pass.
        rho: Norm of the move over all weights together, above 0.

    Attributes:
        second_pass: Whether the closure runs at the moved weights, so that its metrics must not be counted.

    Raises:
        FerError: ``rho`` is out of range.
    """

    def __init__(self, base: Optimizer, model: nn.Module, rho: float) -> None:
        """Wrap an optimizer; ``Optimizer.__init__`` is not called because it would create new groups."""
        if not rho > 0.0:
            raise FerError(f"optimizer.rho: expected a number above 0, e.g. 0.05, got {rho}.")
        self.base, self.model, self.rho = base, model, rho
        self.defaults = base.defaults
        self.second_pass = False

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the groups of the base optimizer."""
        return self.base.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """Return the state of the base optimizer."""
        return self.base.state

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base optimizer; SAM has no state between steps."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the base optimizer."""
        self.base.load_state_dict(state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        self.base.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do a step.

        Args:
            closure: Clears the gradients, computes loss and gradients, and returns the loss.

        Returns:
            The loss at the weights before the step.

        Raises:
            FerError: There is no closure, as under a gradient scaler.
        """
        if closure is None:
            raise FerError(
                "trainer.precision: expected bf16-mixed or 32-true with optimizer=sam, got 16-mixed. SAM "
                "needs two passes over each batch, which gradient scaling does not support."
            )
        with torch.enable_grad():
            loss = closure()
        before = self._ascend()
        with torch.enable_grad(), self._second_pass():
            closure()
        for parameter, value in before:
            parameter.copy_(value)
        self.base.step()
        return loss

    def _ascend(self) -> list[tuple[Tensor, Tensor]]:
        """Move the weights by ``rho`` along their gradient; return (weight, value before) pairs."""
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [(weight, weight.clone()) for weight in weights]
        norm = nn.utils.get_total_norm([weight.grad for weight in weights])
        for weight in weights:
            weight.add_(weight.grad * (self.rho / (norm + 1e-12)).to(weight.device))
        return before

    @contextmanager
    def _second_pass(self) -> Iterator[None]:
        norms = [
            module
            for module in self.model.modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        ]
        self.second_pass = True
        # In training mode, the norms then use the batch statistics without updating the running statistics.
        for norm in norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            self.second_pass = False
            for norm in norms:
                norm.track_running_stats = True


def build_scheduler(
    optimizer: Optimizer, schedule: Part, total_steps: float, steps_per_epoch: int, monitor: str
) -> dict[str, Any]:
    """Build a schedule in the shape that Lightning's ``configure_optimizers`` returns.

    Args:
        optimizer: Its learning rate is the peak of the schedule.
        schedule: The `SchedulerConfig`, its plain values, or its name.
        total_steps: Optimizer steps of the training; infinity if it is unlimited.
        steps_per_epoch: Optimizer steps of an epoch.
        monitor: Metric that ``plateau`` watches.

    Raises:
        FerError: An option is invalid, torch refuses a combination, or a schedule that depends on the number
            of steps gets infinity.
    """
    config = SchedulerConfig.of(schedule)
    if isinstance(config, CosineConfig | OneCycleConfig) and total_steps == math.inf:
        raise FerError(
            f"scheduler={config.name}: expected a Trainer with max_epochs or max_steps, which the schedule "
            "depends on, got neither. Set one of them, or use scheduler=constant."
        )
    scheduler: Any
    try:
        match config:
            case PlateauConfig():
                scheduler = lrs.ReduceLROnPlateau(
                    optimizer, monitor_mode(monitor), config.factor, config.patience, threshold=0.0
                )
                return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}
            case CosineConfig():
                scheduler = _cosine(optimizer, config, int(total_steps))
            case OneCycleConfig():
                # Warm-up, then decay to almost zero (Smith & Topin 2018, https://arxiv.org/abs/1708.07120).
                peaks = [group["lr"] for group in optimizer.param_groups]
                scheduler = lrs.OneCycleLR(
                    optimizer, peaks, max(2, int(total_steps)), pct_start=config.warmup_share,
                    anneal_strategy=config.anneal, cycle_momentum=False, div_factor=config.div_factor,
                    final_div_factor=config.final_div_factor,
                )  # fmt: skip
            case StepConfig():
                every = max(1, round(config.every_epochs * steps_per_epoch))
                scheduler = lrs.StepLR(optimizer, step_size=every, gamma=config.gamma)
            case _:
                scheduler = lrs.ConstantLR(optimizer, factor=1.0)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise FerError(f"scheduler={config.name}: invalid options: {error}") from error
    return {"scheduler": scheduler, "interval": "step"}


def _cosine(optimizer: Optimizer, config: CosineConfig, total_steps: int) -> lrs.LRScheduler:
    """Return a linear warm-up, then a cosine decay to ``final_share`` of the peak.

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.
    """
    warmup = max(1, round(config.warmup_share * total_steps))
    length, floor = max(1, total_steps - warmup), config.final_share
    up = lrs.LinearLR(optimizer, start_factor=1.0 / (warmup + 1), total_iters=warmup)
    # A factor keeps the ratios between the rates of the layers; CosineAnnealingLR has one minimum for all.
    down = lrs.LambdaLR(
        optimizer, lambda step: floor + (1 - floor) * (1 + math.cos(math.pi * min(step / length, 1.0))) / 2
    )
    return lrs.SequentialLR(optimizer, [up, down], milestones=[warmup])
