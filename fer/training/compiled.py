"""``compile=…``: torch.compile for the network with its loss, and for the augmentation of a batch.

On a GPU the network with its loss, forward and backward, is replayed as a CUDA graph by default. Weights,
their names, checkpoints and validation are those of an uncompiled run.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fer.core.errors import FerError
from fer.data.datamodule import EmotionDataModule
from fer.training.batches import loss_and_sums
from fer.training.module import EmotionModule

# Modes of torch.compile that record CUDA graphs.
_GRAPH_MODES = ("reduce-overhead", "max-autotune")


class CompiledForBatch:
    """A function compiled for one batch size; batches of another size run uncompiled.

    A compiled function, and a CUDA graph even more so, is fast for fixed shapes. A smaller batch (unreadable
    files, the last batch of a loader that keeps it) would otherwise compile a second time, for a minute.
    Other sizes of the images (``progressive``) do compile again: few sizes with many steps each.

    Args:
        function: Its first argument is the images, ``(B, ...)``.
        batch_size: B of the batches that are compiled.
        mode: Mode of ``torch.compile``.
    """

    def __init__(self, function: Callable[..., Any], batch_size: int, mode: str) -> None:
        self.function, self.batch_size = function, batch_size
        self.compiled = torch.compile(function, dynamic=False, mode=mode)

    def __call__(self, images: Tensor, *others: Any) -> Any:
        """Call the function."""
        function = self.compiled if len(images) == self.batch_size else self.function
        return function(images, *others)


def compile_step(module: EmotionModule, datamodule: EmotionDataModule) -> None:
    """Compile the training steps of a run as its config says; nothing with ``compile=false``.

    Raises:
        FerError: There is no compiler.
    """
    config = module.config
    if not config.compile:
        return
    _check_compilers()
    # Functions are compiled for one network; those of an earlier run in this process would count as variants.
    torch.compiler.reset()
    mode = choose_mode(config.compile, config.trainer.accumulate_grad_batches, torch.cuda.is_available())
    size = datamodule.batch_size
    module.compiled_step = CompiledForBatch(loss_and_sums, size, mode)
    # The output of a CUDA graph must not be the input of another one, so this is compiled only.
    augment = datamodule.augment
    augment.transform = CompiledForBatch(augment.transform, size, "default")  # type: ignore[assignment,method-assign]


def choose_mode(option: bool | str, accumulated: int, has_cuda: bool) -> str:
    """Return the mode of ``torch.compile`` for the network.

    Args:
        option: ``compile=…``, true or a mode.
        accumulated: Batches of which the gradients are added. With more than one there are no CUDA graphs:
            the gradients of a graph are overwritten by its next run
            (https://github.com/pytorch/pytorch/issues/169545).
        has_cuda: Whether there is a CUDA device.

    Raises:
        FerError: A mode with CUDA graphs was chosen, and gradients are added.
    """
    if option is True:
        return "reduce-overhead" if has_cuda and accumulated == 1 else "default"
    if option in _GRAPH_MODES and accumulated > 1:
        raise FerError(
            f"trainer.accumulate_grad_batches: expected 1 with compile={option}, got {accumulated}. CUDA "
            "graphs overwrite the gradients of the batch before. Use compile=default."
        )
    return str(option)


def _check_compilers() -> None:
    # Imported here, because the compiler takes seconds to load.
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch.utils._triton import has_triton

    try:
        get_cpp_compiler()
    except RuntimeError as error:
        raise FerError(
            "compile: expected a C++ compiler, got none. Install one (apt-get install g++), or remove "
            "compile=true."
        ) from error
    if torch.cuda.is_available() and not has_triton():
        raise FerError(
            "compile: expected Triton for a GPU, got none. Install it (pip install triton), or remove "
            "compile=true."
        )
