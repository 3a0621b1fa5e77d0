"""Concatenate several datasets into one: one label space, one image size, and no duplicates across splits.

Each split is the union of that split over the sources. Sources can share images: FER2013 and FER+ have the
same ones, and FER2013 is distributed both as CSV and as folders. Training images of one source would then
occur among the validation images of another. So train drops duplicates of val and test images, and val drops
duplicates of test images. Between sources near duplicates count too, because an image saved again as JPEG has
other pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import LabelSpace, map_votes, mapping
from fer.core.landmarks import NUM_POINTS
from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates import find_duplicates, merge_groups
from fer.data.splits import indices

_TRAIN, _VAL, _TEST = range(len(ROLES))
_NO_ROLE = len(ROLES)


def concatenate(
    parts: Mapping[str, EmotionData],
    labels: LabelSpace,
    size: int,
    color: bool,
    val_from: str | int | None = None,
) -> EmotionData:
    """Concatenate sources into one dataset.

    Images of emotions that ``labels`` lacks are dropped. So are duplicates, compared by their pixels after
    resizing: training images that are also in val or test of any source; validation images that are also in
    test of another source or in val of an earlier one; test images that are also in test of an earlier one.
    Within a source only exact duplicates count, between sources near ones too (docs/decisions/0005).
    Duplicates within train stay.

    Args:
        parts: Name -> data, in order; ``val_from`` and ``dropped`` use these names.
        labels: Label space of the result.
        size: Side of the images of the result, in pixels.
        color: RGB images; otherwise gray.
        val_from: The only source to validate on, by name or by number counted from 1; validation images of
            the others are dropped. None uses every source with a validation split.

    Returns:
        Images uint8 ``(N, size, size, 3 or 1)``, source after source. ``votes`` if a source has them, over
        the emotions of ``labels``, with zeros for images of the others. ``dropped`` also counts the images
        that are dropped here, by rule.

    Raises:
        FerError: There is no source ``val_from``, or the images of a source are not in memory.
    """
    val_source = None if val_from is None else _source_position(val_from, list(parts))
    converted = [
        _resize_images(_relabel(name, part, labels, validates=val_source in (None, number)), size, color)
        for number, (name, part) in enumerate(parts.items())
    ]
    source = np.repeat(np.arange(len(converted), dtype=np.uint8), [len(part) for part in converted])
    joined = replace(_join(converted, labels), source_numbers=source, source_names=tuple(parts))
    assert isinstance(joined.images, np.ndarray)
    duplicates = _duplicates_to_drop(joined.images, joined.split, source)
    dropped = joined.dropped | {rule: int(rows.sum()) for rule, rows in duplicates.items() if rows.any()}
    joined = replace(joined.take(~np.logical_or.reduce(list(duplicates.values()))), dropped=dropped)
    return _name_splits(joined, parts, val_source)


def _source_position(val_from: str | int, names: Sequence[str]) -> int:
    """Return the position of the source that ``val_from`` names."""
    known = [*names, *map(str, range(1, len(names) + 1))]
    if str(val_from) not in known:
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
        hint = did_you_mean(str(val_from), names)
        raise FerError(
            f"datamodule.val_from: expected a source by name or number ({numbered}), got {val_from!r}.{hint}"
        )
    return known.index(str(val_from)) % len(names)


def _relabel(name: str, part: EmotionData, labels: LabelSpace, validates: bool) -> EmotionData:
    """Return the images that have a role and an emotion of ``labels``; ``split`` is a position in `ROLES`."""
    split = np.full(len(part), _NO_ROLE, dtype=np.uint8)
    for role in part.roles:
        split[indices(part, role)] = ROLES.index(role)
    rules = {
        f"{name}: {emotion} is not in {labels.name}": part.targets == number
        for number, emotion in enumerate(part.labels.names)
        if emotion not in labels.names
    }
    if not validates:
        rules[f"{name}: validation images, val_from being another source"] = split == _VAL
    excluded = np.logical_or.reduce([split == _NO_ROLE, *rules.values()])
    counts = {rule: int((rows & (split < _TEST)).sum()) for rule, rows in rules.items()}
    return replace(
        part,
        targets=np.where(part.targets < 0, -1, mapping(part.labels, labels)[part.targets]),
        split=split,
        votes=None if part.votes is None else map_votes(part.votes, part.labels, labels),
        labels=labels,
        dropped={f"{name}: {rule}": number for rule, number in part.dropped.items()}
        | {rule: number for rule, number in counts.items() if number},
    ).take(~excluded)


def _resize_images(part: EmotionData, size: int, color: bool) -> EmotionData:
    """Return a source with images uint8 ``(N, size, size, 3 or 1)``."""
    images, channels = part.images, 3 if color else 1
    if not isinstance(images, np.ndarray):
        raise FerError(
            f"{part.source}: expected a source that fits into memory, got {len(part):,} images on disk. "
            "Raise its memory_gb, or lower its size."
        )
    if images.shape[1:] == (size, size, channels):
        return part
    resized = np.empty((len(images), size, size, channels), dtype=np.uint8)
    interpolation = cv2.INTER_AREA if images.shape[1] > size else cv2.INTER_LINEAR
    for output, image in zip(resized, images, strict=True):
        if image.shape[-1] != channels:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if color else cv2.COLOR_RGB2GRAY)
        output[:] = cv2.resize(image, (size, size), interpolation=interpolation).reshape(output.shape)
    return replace(part, images=resized)


def _join(parts: Sequence[EmotionData], labels: LabelSpace) -> EmotionData:
    return EmotionData(
        images=np.concatenate([part.images for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        split=np.concatenate([part.split for part in parts]),
        split_names=ROLES,
        roles={},
        labels=labels,
        source=" + ".join(part.source for part in parts),
        votes=_join_votes(parts, len(labels)),
        dropped={rule: number for part in parts for rule, number in part.dropped.items()},
        landmarks=_join_landmarks(parts),
    )


def _join_votes(parts: Sequence[EmotionData], classes: int) -> np.ndarray | None:
    """Return the votes, float32 ``(N, K)``, zeros where a source has none; None if none has any."""
    if all(part.votes is None for part in parts):
        return None
    return np.concatenate(
        [np.zeros((len(part), classes), np.float32) if part.votes is None else part.votes for part in parts]
    )


def _duplicates_to_drop(images: np.ndarray, split: np.ndarray, source: np.ndarray) -> dict[str, np.ndarray]:
    """Return rule -> images to drop, bool ``(N,)``, as duplicates of images in a split with priority."""
    group = _duplicate_groups(images, source)
    train, val, test = (split == number for number in (_TRAIN, _VAL, _TEST))
    repeated_val, repeated_test = np.zeros_like(train), np.zeros_like(train)
    for number in np.unique(source):
        current, earlier = source == number, source < number
        repeated_val |= current & val & np.isin(group, group[(test & ~current) | (val & earlier)])
        repeated_test |= current & test & np.isin(group, group[test & earlier])
    return {
        "train: copies of validation or test images": train & np.isin(group, group[val | test]),
        "val: copies of other sources' test or earlier sources' validation images": repeated_val,
        "test: copies of earlier sources' test images": repeated_test,
    }


def _duplicate_groups(images: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return a group number per image, int64 ``(N,)``: exact duplicates, and near ones between sources."""
    duplicates = find_duplicates(images)
    assert duplicates.pairs is not None
    # The first and last source among the images with the same pixels.
    first, last = source.copy(), source.copy()
    np.minimum.at(first, duplicates.exact, source)
    np.maximum.at(last, duplicates.exact, source)
    left, right = duplicates.pairs[:, 0], duplicates.pairs[:, 1]
    within_source = (
        (first[left] == last[left]) & (first[right] == last[right]) & (first[left] == first[right])
    )
    return merge_groups(duplicates.exact, duplicates.pairs[~within_source])


def _join_landmarks(parts: Sequence[EmotionData]) -> np.ndarray | None:
    """Return the landmarks of all sources, NaN for a source without; None if no source has them."""
    if all(part.landmarks is None for part in parts):
        return None
    missing = [np.full((len(part), NUM_POINTS, 2), np.nan, np.float32) for part in parts]
    return np.concatenate(
        [
            none if part.landmarks is None else part.landmarks
            for part, none in zip(parts, missing, strict=True)
        ]
    )


def _name_splits(data: EmotionData, parts: Mapping[str, EmotionData], val_source: int | None) -> EmotionData:
    """Return the data with splits named after their sources' splits, and with the roles that have images."""
    names = []
    for role in ROLES:
        origins = [
            f"{name} {part.roles[role]}"
            for number, (name, part) in enumerate(parts.items())
            if role in part.roles and (role != "val" or val_source in (None, number))
        ]
        names.append(" + ".join(origins) or role)
    present = {role: names[i] for i, role in enumerate(ROLES) if (data.split == i).any()}
    return replace(data, split_names=tuple(names), roles=present)
