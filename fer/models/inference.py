"""Inference over many images in batches, with test-time augmentation."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fer.core.errors import FerError, did_you_mean
from fer.core.threads import available_cores
from fer.data.augment import to_float
from fer.data.dataset import EmotionData
from fer.data.image_files import ImageFiles
from fer.models.device import torch_device

# Kinds of test-time augmentation
TTA = ("flip", "ten-crop")
# Side of a crop as a fraction of that of the image; the crops of Krizhevsky et al. 2012 were 224 of 256 px
_CROP = 0.9


class InferenceOutputs(NamedTuple):
    """Outputs of a model.

    Attributes:
        rows: Rows of the images that could be read, int64 ``(N,)``; all of them for images in memory.
        logits: float32 ``(N, K)``, without augmentation.
        tta_probs: float32 ``(N, K)``, mean probabilities over the augmented views, or ``None``.
    """

    rows: np.ndarray
    logits: np.ndarray
    tta_probs: np.ndarray | None


def infer(
    model: nn.Module, data: EmotionData, size: int, batch_size: int, tta: str | None = None
) -> InferenceOutputs:
    """Run a model over images as in validation: resized, in order, in float32.

    Args:
        model: It is set to evaluation mode, and moved to the device (`fer.models.device.torch_device`).
        size: Side of the model's input, in pixels.
        tta: ``flip``: the image and its mirror image. ``ten-crop``: four corner crops and the centre crop,
            each 9/10 of the side and resized to ``size``, and their mirror images (Krizhevsky et al. 2012,
            https://doi.org/10.1145/3065386). The probabilities are averaged.

    Raises:
        FerError: ``tta`` is unknown, or images cannot be read.
    """
    if tta not in (None, *TTA):
        raise FerError(f"--tta {tta}: expected one of {', '.join(TTA)}.{did_you_mean(str(tta), TTA)}")
    device = torch_device()
    model = model.to(device).to(memory_format=torch.channels_last).eval()

    def predict(pixels: Tensor) -> Tensor:
        images = to_float(pixels, size).contiguous(memory_format=torch.channels_last)
        return model(images).float()

    parts: list[InferenceOutputs] = []
    with torch.inference_mode(), without_tf32():
        for rows, batch in _batches(data, batch_size):
            pixels = batch.to(device)
            logits = predict(pixels)
            tta_probs = None if tta is None else _augmented(pixels, logits, tta, predict).cpu().numpy()
            parts.append(InferenceOutputs(rows, logits.cpu().numpy(), tta_probs))
    if not parts and isinstance(data.images, ImageFiles):
        data.images.report_unreadable(np.arange(len(data)), nothing_left=True)
    probs = [part.tta_probs for part in parts if part.tta_probs is not None]
    return InferenceOutputs(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.logits for part in parts]),
        np.concatenate(probs) if probs else None,
    )


def without_tf32() -> AbstractContextManager[None]:
    """Return a context with float32 convolutions on a GPU: in TF32 the third digit differs from the CPU."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _batches(data: EmotionData, batch_size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield rows and uint8 images ``(B, C, H, W)``; unreadable images are skipped if that is allowed."""
    images = data.images
    for start in range(0, len(data), batch_size):
        rows = np.arange(start, min(start + batch_size, len(data)))
        if isinstance(images, np.ndarray):
            pixels = images[rows]
        else:
            pixels, readable = images.read(rows, threads=available_cores())
            if not readable.all():
                images.report_unreadable(rows[~readable], nothing_left=False)
            rows = rows[readable]
            if not len(rows):
                continue
        yield rows, torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)


def _augmented(pixels: Tensor, logits: Tensor, tta: str, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """Return mean probabilities ``(B, K)`` over the views; ``logits`` are those of the unchanged image."""
    if tta == "flip":
        views = [logits, predict(pixels.flip(3))]
    else:
        views = [predict(view) for crop in five_crops(pixels) for view in (crop, crop.flip(3))]
    return torch.stack(views).softmax(2).mean(0)


def five_crops(pixels: Tensor) -> list[Tensor]:
    """Return the four corner crops and the centre crop, ``(B, C, s, s)`` each, s being 9/10 of the side."""
    height, width = pixels.shape[-2:]
    side = round(_CROP * min(height, width))
    bottom, right = height - side, width - side
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [pixels[..., top : top + side, left : left + side] for top, left in corners]
