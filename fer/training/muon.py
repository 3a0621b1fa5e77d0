"""timm's Muon optimizer with a faster step: matrices are orthogonalised as batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import timm.optim
import torch
from timm.optim.muon import get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor, nn

# timm's default: five Newton-Schulz steps, https://leloykun.github.io/ponder/muon-opt-coeffs/
PRESET = "quintic"
COEFFICIENTS = [
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
]
_DEFAULT_ITERATION = {
    "algo": "muon", "conv_mode": "flatten", "ns_coefficients": PRESET, "scale_eps": False,
    "ns_steps": len(COEFFICIENTS), "safety_factor": 1.0,
}  # fmt: skip
# Elements of the largest padded batch. fast_cnn_wide has 6.6 million, 4.5 times as many multiplications as
# unpadded: 60 GFLOP, an estimated 0.2 ms of a large GPU, instead of starting a hundred kernels.
_MAX_PADDED = 2**23
# Lower bound of the norm in a division.
_EPS = 1e-7


class Muon(timm.optim.Muon):
    """Momentum orthogonalised by Newton-Schulz (Jordan 2024, https://kellerjordan.github.io/posts/muon/).

    See ``conf/optimizer/muon.yaml``. Options, state and checkpoints are those of timm's Muon, and so is the
    step of parameters that are not matrices. timm's own step handles one matrix after the other, and copies
    those in channels-last memory, which leaves CPU cores idle. Groups with another iteration than timm's
    default use timm's step.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do a step; return the loss of the closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        updated = [weight for group in self.param_groups for weight in self._update_matrices(group)]
        gradients = [weight.grad for weight in updated]
        # timm's step skips parameters without a gradient.
        for weight in updated:
            weight.grad = None
        super().step()
        for weight, gradient in zip(updated, gradients, strict=True):
            weight.grad = gradient
        return loss

    def _update_matrices(self, group: Mapping[str, Any]) -> list[nn.Parameter]:
        """Update the matrices of a group in place and return them.

        In the first step there are none: timm marks the matrices in that step.
        """
        is_default = _DEFAULT_ITERATION.items() <= group.items()
        weights = [weight for weight in group["params"] if is_default and self._is_matrix(weight)]
        if not weights:
            return []
        gradients = [weight.grad for weight in weights]
        averages = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        updates = (
            torch._foreach_lerp(gradients, averages, group["momentum"]) if group["nesterov"] else averages
        )
        layouts = [_is_channels_last(weight) for weight in weights]
        matrices = list(map(_as_matrix, weights, layouts))
        orthogonal = orthogonalise_all(list(map(_as_matrix, updates, layouts)))
        for matrix, update in zip(matrices, orthogonal, strict=True):
            scale = get_lr_scale(matrix.shape, group["adjust_lr_fn"]) if group["adjust_lr_fn"] else 1.0
            matrix.add_(update, alpha=-group["lr"] * scale)
        return weights

    def _is_matrix(self, weight: nn.Parameter) -> bool:
        is_dense = weight.is_contiguous() or _is_channels_last(weight)
        return weight.grad is not None and is_dense and self.state[weight].get("use_muon", False)


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)


def _as_matrix(tensor: Tensor, channels_last: bool) -> Tensor:
    """Return a view ``(out, rest)`` of a weight; the order of the columns does not matter."""
    return (tensor.permute(0, 2, 3, 1) if channels_last else tensor).flatten(1)


def orthogonalise_all(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return each matrix with its singular values set close to 1, as `orthogonalise` does.

    Matrices of one shape are a batch. On a GPU, where starting many small kernels takes longer than they
    run, all matrices together are one batch, padded with zeros, which does not change the result.

    Args:
        matrices: ``(rows, columns)`` each, on one device.
    """
    if matrices[0].device.type != "cpu" and padded_size(matrices) <= _MAX_PADDED:
        return orthogonalise_padded(matrices)
    by_shape: dict[torch.Size, list[int]] = {}
    for i, matrix in enumerate(matrices):
        by_shape.setdefault(matrix.shape, []).append(i)
    results = dict[int, Tensor]()
    for positions in by_shape.values():
        stack = orthogonalise(torch.stack([matrices[i] for i in positions]))
        results.update(zip(positions, stack, strict=True))
    return [results[i] for i in range(len(matrices))]


def padded_size(matrices: Sequence[Tensor]) -> int:
    """Return the number of elements of all matrices padded to the largest one."""
    rows, columns = (max(sides) for sides in zip(*(sorted(one.shape) for one in matrices), strict=True))
    return len(matrices) * rows * columns


def orthogonalise_padded(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the results of `orthogonalise_all` from one batch."""
    wide = [one.mT if one.shape[0] > one.shape[1] else one for one in matrices]
    rows, columns = (max(sides) for sides in zip(*(one.shape for one in wide), strict=True))
    stack = wide[0].new_zeros(len(wide), rows, columns)
    for padded, one in zip(stack, wide, strict=True):
        padded[: one.shape[0], : one.shape[1]] = one
    results = []
    for padded, one, matrix in zip(orthogonalise(stack), wide, matrices, strict=True):
        result = padded[: one.shape[0], : one.shape[1]]
        results.append(result if one is matrix else result.mT)
    return results


def orthogonalise(stack: Tensor) -> Tensor:
    """Return matrices with their singular values set close to 1 (0.98 to 1.02), except for the smallest.

    Each Newton-Schulz step multiplies X by a polynomial of X Xᵀ. These polynomials commute, so on a CPU they
    are multiplied with each other first, as ``(m, m)`` matrices in float32, and then once with X. For a
    matrix nine times as wide as high (a 3 x 3 convolution), that is a third of the work of five steps on X.

    Args:
        stack: ``(k, rows, columns)``.

    Returns:
        The same shape and dtype.
    """
    if stack.device.type != "cpu":
        return zeropower_via_newtonschulz(stack, len(COEFFICIENTS), COEFFICIENTS).to(stack.dtype)
    is_tall = stack.shape[1] > stack.shape[2]
    x = (stack.mT if is_tall else stack).float()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPS)
    result = _polynomial(x @ x.mT) @ x
    return (result.mT if is_tall else result).to(stack.dtype)


def _polynomial(gram: Tensor) -> Tensor:
    """Return the product of the polynomials that X is multiplied by, ``(k, m, m)``, from X Xᵀ."""
    product = None
    for number, (a, b, c) in enumerate(COEFFICIENTS, 1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if number < len(COEFFICIENTS):
            gram = factor @ (gram @ factor)
    assert product is not None
    return product
