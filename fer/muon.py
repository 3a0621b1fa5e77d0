"""timm's Muon, with matrices of one shape together, and on a CPU the iteration on their smaller side."""

from collections.abc import Callable, Mapping
from typing import Any

import timm.optim
import torch
from timm.optim.muon import get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor, nn

# timm's default, five steps of https://leloykun.github.io/ponder/muon-opt-coeffs/
PRESET = "quintic"
COEFFICIENTS = [
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
]
_LEAST = 1e-7  # of a norm that is divided by


class Muon(timm.optim.Muon):
    """Jordan 2024, https://kellerjordan.github.io/posts/muon/: see ``conf/optimizer/muon.yaml``.

    Options, state and checkpoints are timm's, and so is the step of what is no matrix. Its own step takes one
    matrix after the other, in copies where their memory is channels-last, which leaves a CPU's cores idle.
    A group of other than timm's default iteration is left to it altogether.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do a step; return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moved = [weight for group in self.param_groups for weight in self._move_matrices(group)]
        gradients = [weight.grad for weight in moved]
        for weight in moved:
            weight.grad = None  # so that timm passes over it
        super().step()
        for weight, gradient in zip(moved, gradients, strict=True):
            weight.grad = gradient
        return loss

    def _move_matrices(self, group: Mapping[str, Any]) -> list[nn.Parameter]:
        """Move the matrices of a group, and return them; none in the first step, where timm says which."""
        weights = [weight for weight in group["params"] if _is_plain(group) and self._is_matrix(weight)]
        if not weights:
            return []
        gradients = [weight.grad for weight in weights]
        averages = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        moves = torch._foreach_lerp(gradients, averages, group["momentum"]) if group["nesterov"] else averages
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for weight, move in zip(weights, moves, strict=True):
            turned = _has_channels_last(weight)
            matrix = _as_matrix(weight, turned)
            alike.setdefault(matrix.shape, []).append((matrix, _as_matrix(move, turned)))
        for shape, pairs in alike.items():
            rate = group["lr"] * (
                get_lr_scale(shape, group["adjust_lr_fn"]) if group["adjust_lr_fn"] else 1.0
            )
            for (matrix, _), move in zip(
                pairs, orthogonalise(torch.stack([m for _, m in pairs])), strict=True
            ):
                matrix.add_(move, alpha=-rate)
        return weights

    def _is_matrix(self, weight: nn.Parameter) -> bool:
        is_dense = weight.is_contiguous() or _has_channels_last(weight)
        return weight.grad is not None and is_dense and self.state[weight].get("use_muon", False)


def _is_plain(group: Mapping[str, Any]) -> bool:
    usual = {"algo": "muon", "conv_mode": "flatten", "ns_coefficients": PRESET, "scale_eps": False}
    usual |= {"ns_steps": len(COEFFICIENTS), "safety_factor": 1.0}
    return all(group[name] == value for name, value in usual.items())


def _has_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)


def _as_matrix(tensor: Tensor, turned: bool) -> Tensor:
    """Return ``(out, everything else)``, a view of a weight; the order of columns plays no part."""
    return (tensor.permute(0, 2, 3, 1) if turned else tensor).flatten(1)


def orthogonalise(stack: Tensor) -> Tensor:
    """Return matrices with their singular values near one (0.98 to 1.02), all but the very smallest.

    Each step of the iteration multiplies X by a polynomial of X Xᵀ, and these polynomials commute. So on a
    CPU they are multiplied with each other, as ``(m, m)`` matrices in float32, and with X once: of a
    convolution nine times as wide as high, a third of the work of five steps on X itself.

    Args:
        stack: ``(k, rows, columns)``.
    """
    if stack.device.type != "cpu":
        return zeropower_via_newtonschulz(stack, len(COEFFICIENTS), COEFFICIENTS).to(stack.dtype)
    is_high = stack.shape[1] > stack.shape[2]
    x = (stack.mT if is_high else stack).float()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_LEAST)
    result = _polynomial(x @ x.mT) @ x
    return (result.mT if is_high else result).to(stack.dtype)


def _polynomial(gram: Tensor) -> Tensor:
    """Return what X is to be multiplied by, ``(k, m, m)``, from X Xᵀ."""
    product = None
    for number, (a, b, c) in enumerate(COEFFICIENTS, 1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if number < len(COEFFICIENTS):
            gram = factor @ (gram @ factor)
    assert product is not None
    return product
