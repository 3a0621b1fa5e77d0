"""Several sources trained together: one label space, one size of picture, and no picture on both sides.

Train, val and test are the unions of the sources' own. Sources that share pictures (FER2013 and FER+ are the
same faces; FER2013 comes as CSV and as folders) would bring training images of one among validation images of
another. Copies of what is in val or test are therefore left out of train, and what is in test of val: exact
ones, and between sources near ones too, as a face that was saved as a JPEG has other pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates import all_copies, grouped
from fer.data.splits import indices
from fer.errors import FerError, did_you_mean
from fer.labels import LabelSpace, check_same, map_votes, mapping

_TRAIN, _VAL, _TEST = range(len(ROLES))
_NO_ROLE = len(ROLES)


def concatenate(
    parts: Mapping[str, EmotionData],
    labels: LabelSpace,
    size: int,
    color: bool,
    val_from: str | int | None = None,
) -> EmotionData:
    """Join sources into one set.

    Images of emotions that ``labels`` lacks are left out of every part. So are, by their pixels after
    resizing: training images that are in val or test of any source; validation images that are in test of
    another source or in val of an earlier one; test images that are in test of an earlier one. Within a
    source these are exact copies, between sources near ones too (docs/decisions/0005). Copies in train
    alone stay.

    Args:
        parts: Name -> data, in order; ``val_from`` and ``dropped`` call a source by this name.
        labels: The label space of the result.
        size: Side of the result's images, in pixels.
        color: RGB images; else gray.
        val_from: The one source that validates, by name or by number counted from 1; validation images of the
            others are left out. None: all that have a validation part.

    Returns:
        Images uint8 ``(N, size, size, 3 or 1)``, source after source. ``votes`` where every source has them,
        over the emotions of ``labels``. ``dropped`` adds what is left out here, by rule.

    Raises:
        FerError: There is no source ``val_from``, or one has images that are not held in memory.
    """
    chosen = None if val_from is None else _find(val_from, list(parts))
    converted = [
        _fit(_relabel(name, part, labels, validates=chosen in (None, number)), size, color)
        for number, (name, part) in enumerate(parts.items())
    ]
    joined = _join(converted, labels)
    source = np.repeat(np.arange(len(converted)), [len(part) for part in converted])
    assert isinstance(joined.images, np.ndarray)
    copies = _copies(joined.images, joined.split, source)
    dropped = joined.dropped | {rule: int(rows.sum()) for rule, rows in copies.items() if rows.any()}
    joined = replace(joined.take(~np.logical_or.reduce(list(copies.values()))), dropped=dropped)
    return _name_splits(joined, parts, chosen)


def _find(val_from: str | int, names: Sequence[str]) -> int:
    """Return the position of the source that ``val_from`` means."""
    known = [*names, *map(str, range(1, len(names) + 1))]
    if str(val_from) not in known:
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
        hint = did_you_mean(str(val_from), names)
        raise FerError(
            f"datamodule.val_from: expected a source by name or number ({numbered}), got {val_from!r}.{hint}"
        )
    return known.index(str(val_from)) % len(names)


def _relabel(name: str, part: EmotionData, labels: LabelSpace, validates: bool) -> EmotionData:
    """Return a source's images with a role and an emotion of ``labels``; splits are numbers in `ROLES`."""
    split, emotions = _role_numbers(part), part.labels.names
    rules = {
        f"{name}: {emotion} is not in {labels.name}": part.targets == number
        for number, emotion in enumerate(emotions)
        if emotion not in labels.names
    }
    if not validates:
        rules[f"{name}: validation images, val_from being another source"] = split == _VAL
    unwanted = np.logical_or.reduce([split == _NO_ROLE, *rules.values()])
    counts = {rule: int((rows & (split < _TEST)).sum()) for rule, rows in rules.items()}
    return replace(
        part,
        targets=np.where(part.targets < 0, -1, mapping(part.labels, labels)[part.targets]),
        split=split,
        votes=None if part.votes is None else map_votes(part.votes, part.labels, labels),
        labels=labels,
        dropped={f"{name}: {rule}": number for rule, number in part.dropped.items()}
        | {rule: number for rule, number in counts.items() if number},
    ).take(~unwanted)


def _role_numbers(part: EmotionData) -> np.ndarray:
    """Return each image's role as a position in `ROLES`, uint8 ``(N,)``; `_NO_ROLE` where it has none."""
    numbers = np.full(len(part), _NO_ROLE, dtype=np.uint8)
    for role in part.roles:
        numbers[indices(part, role)] = ROLES.index(role)
    return numbers


def _fit(part: EmotionData, size: int, color: bool) -> EmotionData:
    """Return a source with images ``(N, size, size, 3 or 1)``, in memory."""
    images, channels = part.images, 3 if color else 1
    if not isinstance(images, np.ndarray):
        raise FerError(
            f"{part.source}: expected a source that fits into memory, to be joined with others, got "
            f"{len(part):,} pictures to be read from the disk. Raise its memory_gb, or lower its size."
        )
    if images.shape[1:] == (size, size, channels):
        return part
    fitted = np.empty((len(images), size, size, channels), dtype=np.uint8)
    how = cv2.INTER_AREA if images.shape[1] > size else cv2.INTER_LINEAR
    for place, image in zip(fitted, images, strict=True):
        if image.shape[-1] != channels:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if color else cv2.COLOR_RGB2GRAY)
        place[:] = cv2.resize(image, (size, size), interpolation=how).reshape(place.shape)
    return replace(part, images=fitted)


def _join(parts: Sequence[EmotionData], labels: LabelSpace) -> EmotionData:
    for part in parts:
        check_same(labels, part.labels, part.source)
    votes = [part.votes for part in parts if part.votes is not None]
    return EmotionData(
        images=np.concatenate([part.images for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        split=np.concatenate([part.split for part in parts]),
        split_names=ROLES,
        roles={},
        labels=labels,
        source=" + ".join(part.source for part in parts),
        votes=np.concatenate(votes) if len(votes) == len(parts) else None,
        dropped={rule: number for part in parts for rule, number in part.dropped.items()},
    )


def _copies(images: np.ndarray, split: np.ndarray, source: np.ndarray) -> dict[str, np.ndarray]:
    """Return by rule the images, bool ``(N,)``, whose photograph is in a part that goes before theirs."""
    content = _photographs(images, source)
    train, val, test = (split == number for number in (_TRAIN, _VAL, _TEST))
    repeated_val, repeated_test = np.zeros_like(train), np.zeros_like(train)
    for number in np.unique(source):
        own, earlier = source == number, source < number
        repeated_val |= own & val & np.isin(content, content[(test & ~own) | (val & earlier)])
        repeated_test |= own & test & np.isin(content, content[test & earlier])
    return {
        "train: copies of validation or test images": train & np.isin(content, content[val | test]),
        "val: copies of other sources' test or earlier sources' validation images": repeated_val,
        "test: copies of earlier sources' test images": repeated_test,
    }


def _photographs(images: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return a number for each image's photograph, int64 ``(N,)``; near copies are sought between sources."""
    copies = all_copies(images)
    assert copies.pairs is not None
    first, last = source.copy(), source.copy()  # sources of the images with the same pixels
    np.minimum.at(first, copies.exact, source)
    np.maximum.at(last, copies.exact, source)
    one, other = copies.pairs[:, 0], copies.pairs[:, 1]
    alone = (first[one] == last[one]) & (first[other] == last[other]) & (first[one] == first[other])
    return grouped(copies.exact, copies.pairs[~alone])


def _name_splits(data: EmotionData, parts: Mapping[str, EmotionData], chosen: int | None) -> EmotionData:
    """Call each split after those that it is made of, and give the roles that have images."""
    names = []
    for role in ROLES:
        makers = [
            f"{name} {part.roles[role]}"
            for number, (name, part) in enumerate(parts.items())
            if role in part.roles and (role != "val" or chosen in (None, number))
        ]
        names.append(" + ".join(makers) or role)
    present = {role: names[i] for i, role in enumerate(ROLES) if (data.split == i).any()}
    return replace(data, split_names=tuple(names), roles=present)
