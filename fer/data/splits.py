"""Split roles: which images train, validate and test; and the manifest that names them by content."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import ROLES, EmotionData
from fer.errors import FerError, did_you_mean
from fer.labels import to_dict

if TYPE_CHECKING:  # it loads OpenCV
    from fer.data.pictures import ImageFiles

_CARVED = "carve-out"
_HASH_ROWS = 256  # images are hashed in portions, so that a memory map is never copied as a whole


def indices(data: EmotionData, role: str) -> np.ndarray:
    """Return the positions of a role's images, int64 ``(n,)``, ascending.

    Raises:
        FerError: No such role, or the data has no split for it; the message names those that are there.
    """
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise FerError(f"Expected a split role ({known}), got {role!r}.{did_you_mean(role, ROLES)}")
    if role not in data.roles:
        raise FerError(
            f"{data.source}: expected a {role} split, got {_describe(data)}. "
            "Choose one of these, or give a file that holds it."
        )
    return np.flatnonzero(data.split == data.split_names.index(data.roles[role]))


def _describe(data: EmotionData) -> str:
    """Return e.g. ``train (Training, 28709 images), val (PublicTest, 3589 images)``."""
    sizes = np.bincount(data.split, minlength=len(data.split_names))
    parts = [f"{r} ({name}, {sizes[data.split_names.index(name)]} images)" for r, name in data.roles.items()]
    return ", ".join(parts) or "no split at all"


def hide_test_labels(data: EmotionData) -> EmotionData:
    """Return the data with targets of -1 and votes of 0 in the test role; what training is given."""
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
    data: EmotionData, hide_test_labels: bool = True, whole: EmotionData | None = None
) -> dict[str, Any]:
    """Name every part of the data by its content.

    Two manifests with the same ``pixels_sha256`` stand for the same images in the same order, whatever file,
    layout or cache they came from. Pictures that stay on disk have ``files_sha256``, over paths and sizes.

    Args:
        data: The data.
        hide_test_labels: Of the test role, tell the count and the pixels' hash alone. Evaluation says False.
        whole: The data before copies were left out, by which it is known again; None: these are all.

    Returns:
        Plain JSON values: ``label_space``, ``image_shape`` ``[H, W, C]``, and in ``splits`` for each role
        ``split`` (the published name), ``count``, ``pixels_sha256``, and unless hidden ``class_counts`` by
        emotion, ``labels_sha256`` (over the class numbers as little-endian int64) and, where there are votes,
        ``votes_sha256`` (little-endian float32). Where the reader left images out, ``dropped`` counts them.
        Where val was carved out, ``carved_sha256`` names the images of train and val together, in any order.
    """
    is_carved = "train" in data.roles and _CARVED in data.roles.get("val", "")
    carved = {"carved_sha256": _carved_hash(whole or data)} if is_carved else {}
    dropped = {"dropped": dict(data.dropped)} if data.dropped else {}
    return {
        "label_space": to_dict(data.labels),
        "image_shape": list(data.images.shape[1:]),
        **dropped,
        **carved,
        "splits": {
            role: _describe_part(data, role, hidden=hide_test_labels and role == "test")
            for role in ROLES
            if role in data.roles
        },
    }


def _describe_part(data: EmotionData, role: str, hidden: bool) -> dict[str, Any]:
    positions = indices(data, role)
    part = {
        "split": data.roles[role],
        "count": len(positions),
        **_name_images(data.images, positions),
    }
    targets = data.targets[positions]
    is_known = not hidden and not (targets < 0).any()
    return part | _describe_labels(data, positions) if is_known else part


def _describe_labels(data: EmotionData, positions: np.ndarray) -> dict[str, Any]:
    targets = data.targets[positions]
    counts = np.bincount(targets, minlength=len(data.labels)).tolist()
    entry = {
        "class_counts": dict(zip(data.labels.names, counts, strict=True)),
        "labels_sha256": hashlib.sha256(targets.astype("<i8").tobytes()).hexdigest(),
    }
    if data.votes is not None:
        entry["votes_sha256"] = hashlib.sha256(data.votes[positions].astype("<f4").tobytes()).hexdigest()
    return entry


def _name_images(images: "np.ndarray | ImageFiles", positions: np.ndarray) -> dict[str, str]:
    if isinstance(images, np.ndarray):
        return {"pixels_sha256": _pixel_hash(images, positions)}
    return {"files_sha256": images.files.sha256(positions)}


def _carved_hash(data: EmotionData) -> str:
    rows = np.concatenate([indices(data, role) for role in ("train", "val")])
    if isinstance(data.images, np.ndarray):
        marks = [hashlib.sha256(data.images[row].tobytes()).digest() for row in rows]
    else:
        files = data.images.files
        marks = [b"%s %d\n" % (files.names[row], files.sizes[row]) for row in rows]
    return hashlib.sha256(b"".join(sorted(marks))).hexdigest()


def _pixel_hash(images: np.ndarray, positions: np.ndarray) -> str:
    """Return the SHA-256 over the images' bytes, row by row, in the order of ``positions``."""
    checksum = hashlib.sha256()
    for start in range(0, len(positions), _HASH_ROWS):
        checksum.update(images[positions[start : start + _HASH_ROWS]].tobytes())
    return checksum.hexdigest()


def carve_validation(data: EmotionData, fraction: float, seed: int) -> EmotionData:
    """Take a validation part out of train, for data that was published without one.

    Of each emotion about ``fraction`` of the images go to validation. Images with the same pixels stay on one
    side, under whichever labels they come; of pictures on disk, files with the same bytes. The choice depends
    on these and the seed alone: not on the order of the files, nor on any library's random numbers.

    Args:
        data: Data with a train role and no val role.
        fraction: Share of train to take, in (0, 1).
        seed: Another seed takes another part.

    Returns:
        The same images, of which some are in a new split with the role val.

    Raises:
        FerError: There is a val role already, the fraction is out of range, or too few images differ.
    """
    _check_carving(data, fraction)
    train = indices(data, "train")
    chosen = train[_choose(_contents(data.images, train), data.targets[train], fraction, seed)]
    if len(chosen) == 0:
        raise FerError(
            f"{data.source}: expected images to put aside for validation, got {len(train)} in train, too few "
            "that differ. Give more images, or data with a validation split."
        )
    name = f"{data.roles['train']} {_CARVED} (fraction {fraction:g}, seed {seed})"
    split = data.split.copy()
    split[chosen] = len(data.split_names)
    roles = {**data.roles, "val": name}
    return replace(data, split=split, split_names=(*data.split_names, name), roles=roles)


def _check_carving(data: EmotionData, fraction: float) -> None:
    if "val" in data.roles:
        raise FerError(f"{data.source}: expected data without a val split, got {_describe(data)}. Use that.")
    if not 0.0 < fraction < 1.0:
        raise FerError(f"Expected a validation fraction between 0 and 1, got {fraction}; 0.1 is common.")


def _contents(images: "np.ndarray | ImageFiles", positions: np.ndarray) -> Iterable[bytes]:
    """Return for each image what is equal for copies of it; no picture is decoded for it."""
    if isinstance(images, np.ndarray):
        return (images[position].tobytes() for position in positions)
    return images.files.contents(positions)


def _choose(contents: Iterable[bytes], targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return the positions for validation, ascending."""
    numbers: list[int] = targets.tolist()
    members: dict[int, list[list[int]]] = {}
    for group in _group_copies(contents, seed):
        members.setdefault(numbers[group[0]], []).append(group)
    chosen = [position for groups in members.values() for position in _fill(groups, fraction)]
    return np.sort(np.array(chosen, dtype=np.int64))


def _group_copies(contents: Iterable[bytes], seed: int) -> list[list[int]]:
    """Return the positions of each distinct image and its copies, in an order that the seed shuffles."""
    groups: dict[bytes, list[int]] = {}
    for position, content in enumerate(contents):
        digest = hashlib.sha256(f"{seed}:".encode() + content).digest()
        groups.setdefault(digest, []).append(position)
    return [groups[digest] for digest in sorted(groups)]


def _fill(groups: list[list[int]], fraction: float) -> Iterator[int]:
    """Yield the positions of whole groups up to the share of their images that is wanted.

    At least one image is wanted, and one left, where there are two.
    """
    count = sum(map(len, groups))
    room = min(max(1, round(fraction * count)), count - 1)
    for group in groups:
        if len(group) <= room:
            room -= len(group)
            yield from group
