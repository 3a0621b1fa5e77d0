"""A `fer.data.augment.Recipe` for one picture at a time: albumentations, in a loader's workers."""

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from fer.data.augment import Recipe
from fer.errors import FerError

_MAX_ASPECT = 3.0  # of an erased rectangle, as in `fer.data.augment`


def augment_picture(picture: np.ndarray, recipe: Recipe, draw: str) -> np.ndarray:
    """Augment a picture.

    The recipe's numbers mean what they mean to `fer.data.augment.BatchAugmentation`, but each step rounds to
    whole gray levels, and a crop is a step of its own behind the affine map.

    Args:
        picture: uint8 ``(S, S, C)`` with C 1 or 3.
        recipe: How strongly.
        draw: Names the random numbers; the same text gives the same result in any process.

    Returns:
        uint8 ``(S, S, C)``.

    Raises:
        FerError: albumentations is not installed.
    """
    if recipe == Recipe():
        return picture
    pipeline = _pipeline(recipe, picture.shape[0])
    pipeline.set_random_seed(int.from_bytes(hashlib.sha256(draw.encode()).digest()[:4]))
    return pipeline(image=picture)["image"].reshape(picture.shape)


@functools.cache  # building one takes as long as augmenting a hundred pictures; each worker has its own
def _pipeline(recipe: Recipe, size: int) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for its latest version
    try:
        import albumentations
    except ModuleNotFoundError:
        raise FerError(
            "Augmenting pictures that stay on disk needs albumentations, which is not installed. Install "
            "fer-lightning[train], hold the set in memory (datamodule.memory_gb=…), or say augmentation=none."
        ) from None
    return albumentations.Compose([*_geometry(albumentations, recipe, size), *_light(albumentations, recipe)])


def _geometry(A: Any, recipe: Recipe, size: int) -> list[Any]:  # noqa: N803 - as its documentation calls it
    span, turn = (-recipe.translate, recipe.translate), (-recipe.shear, recipe.shear)
    steps = [
        A.HorizontalFlip(p=recipe.flip),
        A.Affine(
            scale=(1 - recipe.scale, 1 + recipe.scale),
            keep_ratio=True,
            translate_percent={"x": span, "y": span},
            rotate=(-recipe.rotation, recipe.rotation),
            shear={"x": turn, "y": (0.0, 0.0)},
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REPLICATE,
            p=1.0,
        ),
    ]
    if recipe.crop:
        smallest = max(1, round((1 - recipe.crop) * size))
        steps.append(A.RandomSizedCrop((smallest, size), (size, size), p=1.0))
    return steps


def _light(A: Any, recipe: Recipe) -> list[Any]:  # noqa: N803
    """Return the steps that change values: contrast around the mean, then brightness, then erasing."""

    class Erase(A.ImageOnlyTransform):
        """Random erasing with the mean of the picture; A.Erasing has no such filling."""

        def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
            rows, columns = _rectangle(recipe, img.shape[0], self.py_random.random)
            erased = img.copy()
            erased[rows, columns] = round(float(img.mean()))
            return erased

    contrast, brightness = recipe.contrast, recipe.brightness
    unchanged = {"brightness": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}
    steps = [
        A.ColorJitter(contrast=(1 - contrast, 1 + contrast), p=1.0, **unchanged) if contrast else None,
        A.RandomBrightnessContrast((-brightness, brightness), (0.0, 0.0), p=1.0) if brightness else None,
        Erase(p=recipe.erase) if recipe.erase else None,
    ]
    return [step for step in steps if step is not None]


def _rectangle(recipe: Recipe, side: int, draw: Callable[[], float]) -> tuple[slice, slice]:
    """Return rows and columns of a rectangle, drawn as in `fer.data.augment.erase`."""
    area = recipe.erase_min + draw() * (recipe.erase_max - recipe.erase_min)
    height = min(1.0, area**0.5 * _MAX_ASPECT ** (draw() - 0.5))
    width = min(1.0, area / max(height, 1e-6))
    return _span(height, draw(), side), _span(width, draw(), side)


def _span(share: float, where: float, side: int) -> slice:
    length = round(share * side)
    start = int(where * (side - length + 1))
    return slice(start, start + length)
