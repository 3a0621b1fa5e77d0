"""Folds of the training split, for cross-fitting: models answer for images that they were not trained on."""

import hashlib
import re
from dataclasses import replace

import numpy as np

from fer.core.errors import FerError
from fer.data.dataset import EmotionData
from fer.data.splits import image_contents, indices

_KEY = "datamodule.fold"


def parse_fold(fold: str) -> tuple[int, int]:
    """Return the number of a fold and the number of folds, e.g. ``(0, 5)`` of ``"0/5"``.

    Raises:
        FerError: It is not of this form, or out of range.
    """
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", fold)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if count < 2 or number >= count:
        raise FerError(
            f"{_KEY}: expected NUMBER/FOLDS with two or more folds, counted from 0, as in 0/5, got {fold!r}."
        )
    return number, count


def assign_folds(data: EmotionData, rows: np.ndarray, count: int) -> np.ndarray:
    """Return the fold of each image, int64 ``(n,)``.

    It depends only on the content of the image: copies are in the same fold, and an image is in the same fold
    of every version of a data set. Images of one person are in the same fold if the data names the person.

    Args:
        data: The data.
        rows: Rows of the images, int64 ``(n,)``.
        count: Number of folds.
    """
    groups = [""] * len(rows) if data.groups is None else data.groups[rows].tolist()
    numbers = [
        int.from_bytes(hashlib.sha256(group.encode() or content).digest()[:8])
        for group, content in zip(groups, image_contents(data, rows), strict=True)
    ]
    return np.array([number % count for number in numbers], np.int64)


def hold_out(data: EmotionData, fold: str | None) -> EmotionData:
    """Return data whose training split lacks a fold; its images are in no split. None: the data unchanged.

    Args:
        data: Data with a training split.
        fold: Such as ``"0/5"``.

    Raises:
        FerError: The fold is wrong, or an emotion has no image left or none in the fold.
    """
    if fold is None:
        return data
    number, count = parse_fold(fold)
    rows = indices(data, "train")
    held_out = assign_folds(data, rows, count) == number
    for label, emotion in enumerate(data.labels.names):
        of_emotion = data.targets[rows] == label
        if of_emotion.any() and (not of_emotion[held_out].any() or not of_emotion[~held_out].any()):
            raise FerError(
                f"{_KEY}={fold}: expected images of each emotion inside and outside of the fold, got "
                f"{int(of_emotion.sum())} of {emotion} in train. Use fewer folds."
            )
    split = data.split.copy()
    split[rows[held_out]] = len(data.split_names)
    name = f"{data.roles['train']}, fold {fold}"
    return replace(data, split=split, split_names=(*data.split_names, name))
