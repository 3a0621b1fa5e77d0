"""Split roles (train, val, test), the manifest of a dataset, and the validation carve-out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import to_dict
from fer.data.dataset import ROLES, EmotionData

_CARVED = "carve-out"
# Images are hashed in chunks, so that a memory map is never copied in full.
_HASH_ROWS = 256


def indices(data: EmotionData, role: str) -> np.ndarray:
    """Return the positions of the images of a role, int64 ``(n,)``, ascending.

    Raises:
        FerError: There is no such role, or the data has no split for it; the message lists its splits.
    """
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise FerError(f"Expected a split role ({known}), got {role!r}.{did_you_mean(role, ROLES)}")
    if role not in data.roles:
        raise FerError(
            f"{data.source}: expected a {role} split, got {_describe_splits(data)}. "
            "Choose one of these, or use a file that has it."
        )
    return np.flatnonzero(data.split == data.split_names.index(data.roles[role]))


def check_training_classes(data: EmotionData) -> None:
    """Check that the training split has images of at least two emotions.

    Raises:
        FerError: There is no training split, or it has fewer.
    """
    present = [data.labels.names[target] for target in np.unique(data.targets[indices(data, "train")])]
    if len(present) < 2:
        raise FerError(
            f"{data.source}: expected training images of at least two emotions, got "
            f"{'only ' + present[0] if present else 'none'}. Use the complete dataset."
        )


def _describe_splits(data: EmotionData) -> str:
    """Return e.g. ``train (Training, 28709 images), val (PublicTest, 3589 images)``."""
    sizes = np.bincount(data.split, minlength=len(data.split_names))
    parts = [f"{r} ({name}, {sizes[data.split_names.index(name)]} images)" for r, name in data.roles.items()]
    return ", ".join(parts) or "no splits"


def hide_test_labels(data: EmotionData) -> EmotionData:
    """Return the data for training: in the test role all targets are -1 and all votes 0."""
    if "test" not in data.roles:
        return data
    test = indices(data, "test")
    targets = data.targets.copy()
    targets[test] = -1
    votes = None if data.votes is None else data.votes.copy()
    if votes is not None:
        votes[test] = 0.0
    return replace(data, targets=targets, votes=votes)


def manifest(
    data: EmotionData, hide_test_labels: bool = True, full_data: EmotionData | None = None
) -> dict[str, Any]:
    """Return the manifest of a dataset: counts, hashes and label space of each split.

    An equal ``pixels_sha256`` means the same images in the same order, independent of file, layout and cache.
    Image files on disk have ``files_sha256`` instead, over paths and sizes.

    Args:
        data: The data.
        hide_test_labels: Give only the count and the hash of the pixels for the test role. Evaluation passes
            False.
        full_data: The data before duplicates were dropped, which ``carved_sha256`` identifies; None if
            nothing was dropped.

    Returns:
        Plain JSON values: ``label_space``, ``image_shape`` ``[H, W, C]``, and in ``splits`` for each role
        ``split`` (the published name), ``count``, ``pixels_sha256``, and unless hidden ``class_counts`` by
        emotion, ``labels_sha256`` (over the class numbers as little-endian int64) and, for data with votes,
        ``votes_sha256`` (little-endian float32). ``dropped`` counts the images that the reader dropped, if
        any. If val was carved out, ``carved_sha256`` identifies the images of train and val together, in any
        order.
    """
    is_carved = "train" in data.roles and _CARVED in data.roles.get("val", "")
    carved = {"carved_sha256": _carved_hash(full_data or data)} if is_carved else {}
    dropped = {"dropped": dict(data.dropped)} if data.dropped else {}
    return {
        "label_space": to_dict(data.labels),
        "image_shape": list(data.images.shape[1:]),
        **dropped,
        **carved,
        "splits": {
            role: _describe_split(data, role, hidden=hide_test_labels and role == "test")
            for role in ROLES
            if role in data.roles
        },
    }


def _describe_split(data: EmotionData, role: str, hidden: bool) -> dict[str, Any]:
    rows = indices(data, role)
    targets, images = data.targets[rows], data.images
    entry = {"split": data.roles[role], "count": len(rows)}
    if isinstance(images, np.ndarray):
        entry["pixels_sha256"] = _pixel_hash(images, rows)
    else:
        entry["files_sha256"] = images.files.sha256(rows)
    if hidden or (targets < 0).any():
        return entry
    counts = np.bincount(targets, minlength=len(data.labels)).tolist()
    entry["class_counts"] = dict(zip(data.labels.names, counts, strict=True))
    entry["labels_sha256"] = hashlib.sha256(targets.astype("<i8").tobytes()).hexdigest()
    if data.votes is not None:
        entry["votes_sha256"] = hashlib.sha256(data.votes[rows].astype("<f4").tobytes()).hexdigest()
    return entry


def _carved_hash(data: EmotionData) -> str:
    rows = np.concatenate([indices(data, role) for role in ("train", "val")])
    if isinstance(data.images, np.ndarray):
        image_keys = [hashlib.sha256(data.images[row].tobytes()).digest() for row in rows]
    else:
        files = data.images.files
        image_keys = [b"%s %d\n" % (files.names[row], files.sizes[row]) for row in rows]
    return hashlib.sha256(b"".join(sorted(image_keys))).hexdigest()


def _pixel_hash(images: np.ndarray, positions: np.ndarray) -> str:
    """Return the SHA-256 over the bytes of the images, in the order of ``positions``."""
    checksum = hashlib.sha256()
    for start in range(0, len(positions), _HASH_ROWS):
        checksum.update(images[positions[start : start + _HASH_ROWS]].tobytes())
    return checksum.hexdigest()


def carve_validation(data: EmotionData, fraction: float, seed: int) -> EmotionData:
    """Carve a validation split out of train, for data that was published without one.

    About ``fraction`` of the images of each emotion go to validation. Images with the same pixels stay in the
    same split, even with different labels; for image files on disk, files with the same bytes. The choice
    depends only on the content and the seed, not on the order of the files or a random number generator.

    Args:
        data: Data with a train role and no val role.
        fraction: Fraction of train to carve out, in (0, 1).
        seed: Seed of the choice.

    Returns:
        The same images, some of them in a new split with the role val.

    Raises:
        FerError: The fraction is out of range, or there are too few distinct images.
    """
    if not 0.0 < fraction < 1.0:
        raise FerError(f"Expected a validation fraction between 0 and 1, got {fraction}; 0.1 is common.")
    train, images = indices(data, "train"), data.images
    # Image files are not decoded.
    contents: Iterable[bytes] = (
        (images[row].tobytes() for row in train)
        if isinstance(images, np.ndarray)
        else images.files.content_hashes(train)
    )
    chosen = train[_choose_rows(contents, data.targets[train], fraction, seed)]
    if len(chosen) == 0:
        raise FerError(
            f"{data.source}: expected enough distinct images to carve out validation, got {len(train)} in "
            "train. Add images, or use data with a validation split."
        )
    name = f"{data.roles['train']} {_CARVED} (fraction {fraction:g}, seed {seed})"
    split = data.split.copy()
    split[chosen] = len(data.split_names)
    roles = {**data.roles, "val": name}
    return replace(data, split=split, split_names=(*data.split_names, name), roles=roles)


def _choose_rows(contents: Iterable[bytes], targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return the positions that go to validation, ascending."""
    numbers: list[int] = targets.tolist()
    groups_by_class: dict[int, list[list[int]]] = {}
    for group in _group_copies(contents, seed):
        groups_by_class.setdefault(numbers[group[0]], []).append(group)
    chosen = [position for groups in groups_by_class.values() for position in _take_groups(groups, fraction)]
    return np.sort(np.array(chosen, dtype=np.int64))


def _group_copies(contents: Iterable[bytes], seed: int) -> list[list[int]]:
    """Return groups of positions, one per distinct image, in an order that depends on the seed."""
    groups: dict[bytes, list[int]] = {}
    for position, content in enumerate(contents):
        digest = hashlib.sha256(f"{seed}:".encode() + content).digest()
        groups.setdefault(digest, []).append(position)
    return [groups[digest] for digest in sorted(groups)]


def _take_groups(groups: list[list[int]], fraction: float) -> Iterator[int]:
    """Yield the positions of complete groups, up to ``fraction`` of all their images.

    From two images on, at least one is taken and at least one is left.
    """
    count = sum(map(len, groups))
    remaining = min(max(1, round(fraction * count)), count - 1)
    for group in groups:
        if len(group) <= remaining:
            remaining -= len(group)
            yield from group
