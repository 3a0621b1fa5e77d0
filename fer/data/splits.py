"""Split roles (train, val, test), the manifest of a dataset, and the validation carve-out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import to_dict
from fer.data.dataset import ROLES, EmotionData
from fer.data.groups import Groups

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
            "Choose one of these, or score other images with fer-evaluate RUN --data folder:DIR --split all."
        )
    return np.flatnonzero(data.split == data.split_names.index(data.roles[role]))


def one_split(data: EmotionData, name: str) -> EmotionData:
    """Return the data with all images in one split, which has a name and the role val."""
    split = np.zeros(len(data.targets), np.uint8)
    return replace(data, split=split, split_names=(name,), roles={"val": name})


def check_training_classes(data: EmotionData) -> None:
    """Check that the training split has images of at least two emotions.

    Scoring has no such condition: a data set of test images, or of one emotion, can be scored.

    Raises:
        FerError: There is no training split, or it has fewer.
    """
    if "train" not in data.roles:
        raise FerError(
            f"{data.source}: expected a training split, got {_describe_splits(data)}. Train on the complete "
            "data set; a trained run can be scored on this one with fer-evaluate RUN --data."
        )
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
        any. ``landmarks`` has the number of aligned faces and the hash of their landmarks, if there are some.
        ``emotions`` records a choice of emotions (`fer.data.emotions`), if one was made. If val was
        carved out, ``carved_sha256`` identifies the images of train and val together, in any
        order.
    """
    carved = {"carved_sha256": joint_hash(full_data or data)} if is_carved(data) else {}
    dropped = {"dropped": dict(data.dropped)} if data.dropped else {}
    choice = {"emotions": data.choice} if data.choice else {}
    aligned = {"landmarks": _describe_landmarks(data.landmarks)} if data.landmarks is not None else {}
    return {
        "label_space": to_dict(data.labels),
        "image_shape": list(data.images.shape[1:]),
        **choice,
        **aligned,
        **dropped,
        **carved,
        "splits": {
            role: _describe_split(data, role, hidden=hide_test_labels and role == "test")
            for role in ROLES
            if role in data.roles
        },
    }


def _describe_landmarks(landmarks: np.ndarray) -> dict[str, Any]:
    """Return the number of faces with landmarks, and a hash of all landmarks (little-endian float32)."""
    faces = int(np.isfinite(landmarks).all((1, 2)).sum())
    return {"faces": faces, "sha256": hashlib.sha256(landmarks.astype("<f4").tobytes()).hexdigest()}


def is_carved(data: EmotionData) -> bool:
    """Return whether the validation split was carved out of train."""
    return "train" in data.roles and _CARVED in data.roles.get("val", "")


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


def joint_hash(data: EmotionData) -> str:
    """Return the SHA-256 of the images of train and val together, in any order: ``carved_sha256``."""
    rows = np.concatenate([indices(data, role) for role in ("train", "val") if role in data.roles])
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


def carve_validation(
    data: EmotionData, fraction: float, seed: int, groups: Groups | None = None
) -> EmotionData:
    """Carve a validation split out of train, for data that was published without one.

    About ``fraction`` of the images of each emotion go to validation. Images with the same pixels stay in the
    same split, even with different labels; for image files on disk, files with the same bytes. The choice
    depends only on the content and the seed, not on the order of the files or a random number generator.

    With ``groups``, the images of a group stay in the same split too, and complete groups are chosen so that
    each emotion comes close to ``fraction``. Train keeps images of every emotion that it has.

    Args:
        data: Data with a train role and no val role.
        fraction: Fraction of train to carve out, in (0, 1).
        seed: Seed of the choice.
        groups: Groups of all images of the data, such as the images of one person.

    Returns:
        The same images, some of them in a new split with the role val.

    Raises:
        FerError: The fraction is out of range, or there are too few distinct images.
    """
    if not 0.0 < fraction < 1.0:
        raise FerError(f"Expected a validation fraction between 0 and 1, got {fraction}; 0.1 is common.")
    train = indices(data, "train")
    contents = image_contents(data, train)
    if groups is None:
        chosen = train[_choose_rows(contents, data.targets[train], fraction, seed)]
    else:
        chosen = train[_choose_groups(contents, groups.numbers[train], data.targets[train], fraction, seed)]
    if len(chosen) == 0 and groups is not None:
        raise FerError(
            f"{data.source}: expected groups of images ({groups.rule}) of which some can be carved out for "
            f"validation while train keeps every emotion, got {groups.count} groups. Use data with a "
            "validation split, or set datamodule.group=none."
        )
    if len(chosen) == 0:
        raise FerError(
            f"{data.source}: expected enough distinct images to carve out validation, got {len(train)} in "
            "train. Add images, or use data with a validation split."
        )
    by_groups = "" if groups is None else f", {groups.count} groups: {groups.rule}"
    name = f"{data.roles['train']} {_CARVED} (fraction {fraction:g}, seed {seed}{by_groups})"
    split = data.split.copy()
    split[chosen] = len(data.split_names)
    roles = {**data.roles, "val": name}
    return replace(data, split=split, split_names=(*data.split_names, name), roles=roles)


def image_contents(data: EmotionData, rows: np.ndarray) -> Iterable[bytes]:
    """Return bytes for each image that are equal for copies: its pixels, or a hash of its file on disk."""
    images = data.images
    if isinstance(images, np.ndarray):
        return (images[row].tobytes() for row in rows)
    return images.files.content_hashes(rows)


def _choose_rows(contents: Iterable[bytes], targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return the positions that go to validation, ascending."""
    numbers: list[int] = targets.tolist()
    groups_by_class: dict[int, list[list[int]]] = {}
    for group in _group_copies(contents, seed):
        groups_by_class.setdefault(numbers[group[0]], []).append(group)
    chosen = [position for groups in groups_by_class.values() for position in _take_groups(groups, fraction)]
    return np.sort(np.array(chosen, dtype=np.int64))


def _choose_groups(
    contents: Iterable[bytes], groups: np.ndarray, targets: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Return the positions that go to validation, ascending: complete groups with copies of their images."""
    copies = _group_copies(contents, seed)
    copy_of = np.empty(len(targets), np.int64)
    for number, rows in enumerate(copies):
        copy_of[rows] = number
    # The nodes of the graph are distinct images and groups; each file connects its image with its group.
    nodes = len(copies) + int(groups.max()) + 1
    edges = coo_array((np.ones(len(groups)), (copy_of, len(copies) + groups)), shape=(nodes, nodes))
    components = connected_components(edges, directed=False)[1]
    members: dict[int, list[int]] = {}
    for number, rows in enumerate(copies):
        members.setdefault(int(components[number]), []).extend(rows)
    chosen = _take_stratified(list(members.values()), targets, fraction)
    return np.sort(np.array(chosen, dtype=np.int64))


def _take_stratified(groups: list[list[int]], targets: np.ndarray, fraction: float) -> list[int]:
    """Return the positions of groups that together come close to ``fraction`` of each emotion.

    Each group is taken, in their order, if that reduces the distance to the goal and leaves images of each
    emotion. If none is, the one that comes closest is taken.
    """
    counts = np.array([np.bincount(targets[rows], minlength=targets.max() + 1) for rows in groups])
    total = counts.sum(0)
    goal, present = fraction * total, total > 0

    def distance(taken: np.ndarray) -> float:
        return float((((taken - goal)[present] / goal[present]) ** 2).sum())

    allowed = [number for number, count in enumerate(counts) if (count < total)[present].all()]
    taken, chosen = np.zeros_like(total), []
    for number in allowed:
        after = taken + counts[number]
        if (after < total)[present].all() and distance(after) < distance(taken):
            taken = after
            chosen.append(number)
    if not chosen and allowed:
        chosen = [min(allowed, key=lambda number: distance(counts[number]))]
    return [position for number in chosen for position in groups[number]]


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
