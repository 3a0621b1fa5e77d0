"""Augmentation of single images in the data workers, for image files on disk."""

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.data.augment import MAX_ASPECT
from fer.data.augment_config import AugmentationConfig


def augment_image(image: np.ndarray, augmentation: AugmentationConfig, seed: str) -> np.ndarray:
    """Augment an image.

    The options have the same meaning as for `BatchAugmentation`. The results differ slightly: each step
    rounds to integer gray levels, and the crop is a separate step after the affine map.

    Args:
        image: uint8 ``(S, S, C)`` with C 1 or 3.
        augmentation: How strongly to augment.
        seed: Seed of the random numbers, any text; the same text gives the same result in any process.

    Returns:
        uint8 ``(S, S, C)``.

    Raises:
        FerError: albumentations is not installed.
    """
    if augmentation == AugmentationConfig():
        return image
    pipeline = _pipeline(augmentation, image.shape[0])
    pipeline.set_random_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]))
    return pipeline(image=image)["image"].reshape(image.shape)


# Building a pipeline takes as long as augmenting a hundred images, so each process caches it.
@functools.cache
def _pipeline(augmentation: AugmentationConfig, size: int) -> Any:
    # Without this variable albumentations queries the network for its latest version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations
    except ModuleNotFoundError:
        raise FerError(
            "augmentation: augmenting image files on disk needs albumentations, which is not installed. "
            "Install fer-lightning[train], keep the dataset in memory (datamodule.memory_gb=…), or use "
            "augmentation=none."
        ) from None
    return albumentations.Compose(_steps(albumentations, augmentation, size))


def _steps(A: Any, augmentation: AugmentationConfig, size: int) -> list[Any]:  # noqa: N803 - usual alias
    """Return flip, affine map and crop, then contrast around the mean, brightness, erasing, blur, noise."""

    class Erase(A.ImageOnlyTransform):
        """Random erasing with the mean of the image, a fill that A.Erasing does not offer."""

        def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
            rows, columns = _rectangle(augmentation, img.shape[0], self.py_random.random)
            erased = img.copy()
            erased[rows, columns] = round(float(img.mean()))
            return erased

    shift = (-augmentation.translate, augmentation.translate)
    steps = [
        A.HorizontalFlip(p=augmentation.flip),
        A.Affine(
            scale=(1 - augmentation.scale, 1 + augmentation.scale),
            keep_ratio=True,
            translate_percent={"x": shift, "y": shift},
            rotate=(-augmentation.rotation, augmentation.rotation),
            shear={"x": (-augmentation.shear, augmentation.shear), "y": (0.0, 0.0)},
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REPLICATE,
            p=1.0,
        ),
    ]
    if augmentation.crop:
        smallest = max(1, round((1 - augmentation.crop) * size))
        steps.append(A.RandomSizedCrop((smallest, size), (size, size), p=1.0))
    if contrast := augmentation.contrast:
        unchanged = {"brightness": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}
        steps.append(A.ColorJitter(contrast=(1 - contrast, 1 + contrast), p=1.0, **unchanged))
    if brightness := augmentation.brightness:
        steps.append(A.RandomBrightnessContrast((-brightness, brightness), (0.0, 0.0), p=1.0))
    if augmentation.erase:
        steps.append(Erase(p=augmentation.erase))
    if blur := augmentation.blur * size:
        steps.append(A.GaussianBlur(blur_limit=0, sigma_limit=(0.0, blur), p=0.5))
    if augmentation.noise:
        steps.append(A.GaussNoise(std_range=(0.0, augmentation.noise), p=0.5))
    return steps


def _rectangle(
    augmentation: AugmentationConfig, side: int, uniform: Callable[[], float]
) -> tuple[slice, slice]:
    """Return rows and columns of a random rectangle, distributed as in `erase`."""
    area = augmentation.erase_min + uniform() * (augmentation.erase_max - augmentation.erase_min)
    height = min(1.0, area**0.5 * MAX_ASPECT ** (uniform() - 0.5))
    width = min(1.0, area / max(height, 1e-6))
    return _interval(height, uniform(), side), _interval(width, uniform(), side)


def _interval(fraction: float, position: float, side: int) -> slice:
    """Return a slice over ``fraction`` of ``side``; ``position`` in [0, 1) chooses its start."""
    length = round(fraction * side)
    start = int(position * (side - length + 1))
    return slice(start, start + length)
