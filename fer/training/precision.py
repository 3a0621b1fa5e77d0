"""Choose the floating-point precision of a training: ``trainer.precision=auto``."""

import functools
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias

# Like the middle layers of the package's networks; 0.7 GFLOP for a forward and a backward pass.
_BATCH, _CHANNELS, _SIDE = 16, 64, 12
_REPEATS = 8


def choose_precision(name: str | int | None, accelerator: str, model: nn.Module) -> Any:
    """Return the precision for Lightning; ``auto`` is resolved to bf16 where it is faster, else fp32.

    Args:
        name: A precision of Lightning, or ``auto``.
        accelerator: An accelerator of Lightning, or ``auto``.
        model: The network to train.
    """
    if name != "auto":
        return name
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator not in ("auto", "cpu") or any(map(_is_strided_depthwise, model.modules())):
        return "32-true"
    return "bf16-mixed" if _has_bf16() and _is_bf16_faster() else "32-true"


def _is_strided_depthwise(layer: nn.Module) -> bool:
    """Return whether a layer's backward pass on a CPU is 7 to 15 times slower in bf16 (MobileNets)."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels and max(layer.stride) > 1


def _has_bf16() -> bool:
    """Return whether the processor computes in bf16; emulated, it is ten times slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@functools.cache
def _is_bf16_faster() -> bool:
    """Return whether a convolution takes less time in bf16 than in fp32, measured once per process in 0.1 s.

    Instructions for bf16 do not decide it: with AVX512_BF16, convolutions take half of fp32's time on AMD
    Zen 4, but twice as long on Intel Xeons without AMX. The two differ so much that a busy machine changes
    nothing.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        layers = {dtype: _layer(dtype) for dtype in (torch.float32, torch.bfloat16)}
        times: dict[torch.dtype, list[float]] = {dtype: [] for dtype in layers}
        for _ in range(_REPEATS):
            for dtype, (images, weight) in layers.items():
                times[dtype].append(_time_convolution(images, weight))
    finally:
        torch.set_num_threads(threads)
    return min(times[torch.bfloat16]) < min(times[torch.float32])


def _layer(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return images and weights of a 3x3 convolution, in channels-last memory."""
    shapes = (_BATCH, _CHANNELS, _SIDE, _SIDE), (_CHANNELS, _CHANNELS, 3, 3)
    # Ones, since random numbers would change the seeded ones of the training.
    images, weight = (
        torch.ones(shape, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
        for shape in shapes
    )
    return images, weight


def _time_convolution(images: Tensor, weight: Tensor) -> float:
    """Return the CPU time of a forward and a backward pass in seconds."""
    start = time.thread_time()
    with torch.enable_grad():
        output = F.conv2d(images, weight, padding=1)
        torch.autograd.grad(output, (images, weight), torch.ones_like(output))
    return time.thread_time() - start
