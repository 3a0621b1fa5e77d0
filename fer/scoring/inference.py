"""Logits of many images, in batches; and test-time augmentation."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fer.data.augment import to_float
from fer.data.dataset import EmotionData
from fer.data.pictures import ImageFiles
from fer.errors import FerError, did_you_mean

TTA = ("flip", "ten-crop")
_CROP = 0.9  # of the side; the ten crops of Krizhevsky et al. 2012 took 224 of 256 px


class Outputs(NamedTuple):
    """What a model says.

    Attributes:
        kept: Positions of the images that could be read, int64 ``(N,)``; of a set in memory all.
        logits: float32 ``(N, K)``, of the plain images.
        tta_probs: float32 ``(N, K)``, mean probabilities over the augmented views, or ``None``.
    """

    kept: np.ndarray
    logits: np.ndarray
    tta_probs: np.ndarray | None


def infer(model: nn.Module, data: EmotionData, size: int, batch_size: int, tta: str | None = None) -> Outputs:
    """Run a model over images as validation does: resized, in order, in float32.

    Args:
        model: In evaluation mode; it is moved to the GPU where there is one.
        data: The images.
        size: Side of the model's input, in pixels.
        batch_size: Images at a time.
        tta: ``flip``: the image and its mirror image. ``ten-crop``: four corners and the centre, each 9/10 of
            the side and enlarged to ``size``, and their mirror images (Krizhevsky et al. 2012,
            https://doi.org/10.1145/3065386). Their probabilities are averaged.

    Raises:
        FerError: ``tta`` is none of these, or pictures cannot be read.
    """
    if tta not in (None, *TTA):
        raise FerError(f"--tta {tta}: expected one of {', '.join(TTA)}.{did_you_mean(str(tta), TTA)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).to(memory_format=torch.channels_last).eval()

    def predict(pixels: Tensor) -> Tensor:
        images = to_float(pixels, size).contiguous(memory_format=torch.channels_last)
        return model(images).float()

    parts: list[Outputs] = []
    with torch.inference_mode(), without_tf32():
        for kept, held in _portions(data, batch_size):
            pixels = held.to(device)
            logits = predict(pixels)
            probs = None if tta is None else _augmented(pixels, logits, tta, predict).cpu().numpy()
            parts.append(Outputs(kept, logits.cpu().numpy(), probs))
    if not parts and isinstance(data.images, ImageFiles):
        data.images.give_up(np.arange(len(data)), all_of_it=True)
    return Outputs(
        np.concatenate([part.kept for part in parts]),
        np.concatenate([part.logits for part in parts]),
        None
        if tta is None
        else np.concatenate([part.tta_probs for part in parts if part.tta_probs is not None]),
    )


def without_tf32() -> AbstractContextManager[None]:
    """Keep a GPU's convolutions in float32: in TF32 they differ from a CPU's in the third digit."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _portions(data: EmotionData, batch_size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield positions and uint8 ``(B, C, H, W)``; unreadable pictures are left out where they may be."""
    images = data.images
    for start in range(0, len(data), batch_size):
        rows = np.arange(start, min(start + batch_size, len(data)))
        if isinstance(images, np.ndarray):
            pixels = images[rows]
        else:
            pixels, readable = images.read(rows, threads=os.cpu_count() or 1)
            if not readable.all():
                images.give_up(rows[~readable], all_of_it=False)
            rows = rows[readable]
            if not len(rows):
                continue
        yield rows, torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)


def _augmented(pixels: Tensor, logits: Tensor, tta: str, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """Return mean probabilities ``(B, K)`` over the views; the plain image's logits are known."""
    if tta == "flip":
        views = [logits, predict(pixels.flip(3))]
    else:
        views = [predict(view) for crop in crops(pixels) for view in (crop, crop.flip(3))]
    return torch.stack(views).softmax(2).mean(0)


def crops(pixels: Tensor) -> list[Tensor]:
    """Return the four corners and the centre, ``(B, C, s, s)`` each with s 9/10 of the side."""
    height, width = pixels.shape[-2:]
    side = round(_CROP * min(height, width))
    bottom, right = height - side, width - side
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [pixels[..., top : top + side, left : left + side] for top, left in places]
