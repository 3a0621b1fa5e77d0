"""Data sets from arrays, as a reader of one's own returns them: `from_arrays`, and checks of the result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import FER7, LabelSpace
from fer.core.registry import Entry
from fer.data.dataset import ROLES, EmotionData
from fer.data.splits import carve_validation

# Of train, where a reader returns no validation split.
_VAL_FRACTION = 0.1


def from_arrays(
    splits: Mapping[str, tuple[Any, Any]], emotions: Sequence[str] | None = None, source: str = "arrays"
) -> EmotionData:
    """Return a data set from images and labels of each split.

    >>> rng = np.random.default_rng(0)
    >>> data = from_arrays({"train": (rng.integers(0, 255, (9, 48, 48)).astype("uint8"), ["happy"] * 9)})
    >>> data.images.shape
    (9, 48, 48, 1)

    Args:
        splits: ``train``, ``val`` or ``test`` -> images, uint8 ``(N, H, W)`` or ``(N, H, W, C)`` with C 1 or
            3, and ``N`` labels, names of emotions or class numbers.
        emotions: Names of the emotions in the order of the class numbers; None: those of FER2013.
        source: Path or description, for messages and run records.

    Raises:
        FerError: A split, an image array or a label is wrong.
    """
    labels = FER7 if emotions is None else LabelSpace("custom", tuple(emotions))
    if not splits or set(splits) - set(ROLES):
        raise FerError(
            f"{source}: expected the splits {', '.join(ROLES)}, got {', '.join(splits) or 'none'}."
        )
    images = [_images(array, f"{source}, {role}") for role, (array, _) in splits.items()]
    targets = [_targets(column, labels) for _, column in splits.values()]
    for role, pixels, column in zip(splits, images, targets, strict=True):
        if len(pixels) != len(column):
            raise FerError(
                f"{source}, {role}: expected as many labels as images, {len(pixels)}, got {len(column)}."
            )
    if len({array.shape[1:] for array in images}) > 1:
        shapes = ", ".join(str(array.shape[1:]) for array in images)
        raise FerError(f"{source}: expected images of one shape, got {shapes}.")
    split = np.repeat(np.arange(len(splits), dtype=np.uint8), [len(array) for array in images])
    roles = {role: role for role in splits}
    return EmotionData(
        np.concatenate(images), np.concatenate(targets), split, tuple(splits), roles, labels, source
    )


def _images(array: Any, where: str) -> np.ndarray:
    images = np.asarray(array)
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise FerError(
            f"{where}: expected images uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {images.dtype} "
            f"{images.shape}."
        )
    return images


def _targets(column: Any, labels: LabelSpace) -> np.ndarray:
    """Return class numbers for names of emotions or class numbers."""
    numbers = [labels.index(item) if isinstance(item, str) else int(item) for item in column]
    return np.array(numbers, dtype=np.int64)


def checked(entry: Entry, data: object, to_train: bool) -> EmotionData:
    """Return what a registered reader returned, with a validation split to train with.

    Raises:
        FerError: It is no `EmotionData`, or its arrays do not fit each other.
    """
    where = f"datamodule={entry.name}"
    if not isinstance(data, EmotionData):
        raise FerError(
            f"{where}: expected {entry.origin} to return a fer.data.dataset.EmotionData, got a "
            f"{type(data).__name__}. fer.data.arrays.from_arrays makes one."
        )
    if isinstance(data.images, np.ndarray):
        _images(data.images, where)
    elif not entry.facts.get("files"):
        raise FerError(
            f'{where}: got image files. Register it with register_reader("{entry.name}", files=True).'
        )
    lengths = {len(data.images), len(data.targets), len(data.split)}
    if (
        len(lengths) > 1
        or data.targets.dtype != np.int64
        or int(data.targets.max(initial=0)) >= len(data.labels)
    ):
        raise FerError(
            f"{where}: expected one class number below {len(data.labels)} (int64) and one split per image, "
            f"got targets {data.targets.dtype} {data.targets.shape} up to {data.targets.max(initial=0)}."
        )
    if not isinstance(data.images, np.ndarray) or "train" not in data.roles or "val" in data.roles:
        return data
    try:
        return replace(carve_validation(data, _VAL_FRACTION, 0), groups=None)
    except FerError:
        if to_train:
            raise
        return data
