"""Optimizers by name: timm's, Muon, SAM, and registered ones. Schedules are in `fer.training.schedules`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fer.core.config import Part
from fer.core.errors import FerError, did_you_mean
from fer.core.plugins import failures
from fer.core.registry import OPTIMIZERS, Entry
from fer.core.signature import accepted, parameters
from fer.training.muon import Muon
from fer.training.recipe import OptimizerConfig


def build_optimizer(model: nn.Module, optimizer: Part) -> Optimizer:
    """Build an optimizer; weight decay is not applied to norms and biases.

    Args:
        model: Its trainable parameters are optimised.
        optimizer: The `OptimizerConfig`, its plain values, or its name. With ``layer_decay`` a layer ``d``
            layers below the head has the learning rate ``lr * layer_decay ** d`` (BEiT, Bao et al. 2022,
            https://arxiv.org/abs/2106.08254); layers are those of ``model.group_matcher``. With the name
            ``sam``, ``base`` is the name of the base optimizer (``adamw``), and ``rho`` (0.05) is for `SAM`.

    Raises:
        FerError: There is no optimizer of that name, or it does not accept one of the options.
    """
    config = OptimizerConfig.of(optimizer)
    entry = OPTIMIZERS.find(config.name)
    if entry is None:
        return build_timm(model, config.name, **config.options())
    if next(iter(parameters(entry.build)), None) == "model":
        return _checked(entry, entry.build(model, **config.options()))
    options = config.options()
    layer_decay = options.pop("layer_decay")
    groups = parameter_groups(model, config.lr, config.weight_decay, layer_decay)
    return _checked(entry, entry.build(groups, **accepted(entry.build, options)))


def _checked(entry: Entry, built: object) -> Optimizer:
    if not isinstance(built, Optimizer):
        raise FerError(
            f"optimizer={entry.name}: expected {entry.origin} to return a torch.optim.Optimizer, got a "
            f"{type(built).__name__}."
        )
    return built


def build_timm(model: nn.Module, name: str, **options: Any) -> Optimizer:
    """Return an optimizer of timm.

    Raises:
        FerError: timm has no optimizer of that name, or it does not accept one of the options.
    """
    _check_known("optimizer.name", name)
    try:
        built = create_optimizer_v2(model, opt=name, **options)
    except (AssertionError, ImportError, IndexError, TypeError, ValueError) as error:
        raise FerError(f"optimizer={name}: invalid options: {error}") from error
    # timm's own schedules apply its ``lr_scale``, torch's do not.
    for group in built.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    return built


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, layer_decay: float | None = None
) -> list[dict[str, Any]]:
    """Return the trainable parameters in timm's groups, with their ``lr`` and ``weight_decay``."""
    built = build_timm(model, "sgd", lr=lr, weight_decay=weight_decay, layer_decay=layer_decay)
    keys = ("params", "lr", "weight_decay")
    return [{key: group[key] for key in keys} for group in built.param_groups]


def build_muon(model: nn.Module, **options: Any) -> Optimizer:
    """Return Muon with the groups and options of timm's."""
    built = build_timm(model, "muon", **options)
    return Muon(built.param_groups, **built.defaults)


def build_sam(model: nn.Module, base: str = "adamw", rho: float = 0.05, **options: Any) -> Optimizer:
    """Return `SAM` around another optimizer; the options are those of the other one."""
    if OPTIMIZERS.find(base) is None or base == "sam":
        _check_known("optimizer.base", base)
    return SAM(build_optimizer(model, OptimizerConfig.from_dict({"name": base, **options})), model, rho)


def _check_known(key: str, name: str) -> None:
    known = [str(optimizer) for optimizer in list_optimizers()]
    if name not in known:
        hint = did_you_mean(name, [*known, *OPTIMIZERS.names()])
        raise FerError(f"{key}: expected an optimizer of timm, got {name!r}.{hint}{failures()}")
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
