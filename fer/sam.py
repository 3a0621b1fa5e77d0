"""Sharpness-aware minimisation, wrapped around any optimizer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fer.errors import FerError


class SAM(Optimizer):
    """Step along the gradient taken at the worst point near by, which leads to flat minima.

    Foret et al. 2021, https://arxiv.org/abs/2010.01412: the weights move by ``rho`` along their gradient, the
    gradient is taken there, the weights move back, and the base optimizer steps with it. A step runs its
    closure twice, so it costs twice the time, and holds a copy of the weights. Dropout draws anew in the
    second pass; batch norms take note of the first alone. Of several processes each sees the mean gradient.

    Groups and state are those of the base optimizer, and so are its checkpoints and schedules.

    Args:
        base: The optimizer that does the step.
        model: The network; its batch norms are held in the second pass.
        rho: Length of the move over all weights together, above 0.

    Attributes:
        second_pass: Whether the closure runs at the moved weights: what it computes is of no other interest.

    Raises:
        FerError: ``rho`` is out of range.
    """

    def __init__(self, base: Optimizer, model: nn.Module, rho: float) -> None:
        """Wrap; ``Optimizer.__init__`` would make groups of its own."""
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
        """Return the base optimizer's: between two steps there is nothing else to keep."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the base optimizer's."""
        self.base.load_state_dict(state_dict)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base optimizer."""
        self.base.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.base.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do a step.

        Args:
            closure: Clears the gradients, computes loss and gradients anew, and returns the loss.

        Returns:
            The loss at the weights as they were.

        Raises:
            FerError: There is no closure, as under a gradient scaler.
        """
        if closure is None:
            raise FerError(
                "optimizer=sam computes every batch twice, which trainer.precision=16-mixed cannot. "
                "Use bf16-mixed or 32-true."
            )
        with torch.enable_grad():
            loss = closure()
        before = self._move_uphill()
        with torch.enable_grad(), self._second_pass():
            closure()
        for parameter, value in before:
            parameter.copy_(value)
        self.base.step()
        return loss

    def _move_uphill(self) -> list[tuple[Tensor, Tensor]]:
        """Move the weights by ``rho`` along their gradient; return them with their values before."""
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
        for norm in norms:  # in training they then use the batch's statistics without taking note of them
            norm.track_running_stats = False
        try:
            yield
        finally:
            self.second_pass = False
            for norm in norms:
                norm.track_running_stats = True
