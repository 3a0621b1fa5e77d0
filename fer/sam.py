"""Sharpness-aware minimisation (SAM), a wrapper around any optimizer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fer.errors import FerError


class SAM(Optimizer):
    """Optimizer that steps along the gradient at the worst point nearby, which leads to flat minima.

    Foret et al. 2021, https://arxiv.org/abs/2010.01412: the weights move by ``rho`` along their gradient, the
    gradient is computed there, the weights move back, and the base optimizer steps with that gradient. A step
    calls its closure twice, so it takes twice the time, and stores a copy of the weights. Dropout masks
    differ between the two passes; batch-norm statistics are updated in the first pass only. With several
    processes each uses the mean gradient.

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
        """Wrap an optimizer; ``Optimizer.__init__`` is not called, as it would create new groups."""
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

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base optimizer."""
        self.base.add_param_group(param_group)

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
        # in training mode they then use the statistics of the batch without updating the running ones
        for norm in norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            self.second_pass = False
            for norm in norms:
                norm.track_running_stats = True
