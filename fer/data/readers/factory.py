"""Read the dataset that a config describes, through the cache.

FER2013, FER+ and synthetic data are decoded in full and cached. A dataset of image files (`folder`, `rafdb`,
`affectnet`) is decoded and cached if it fits into ``memory_gb``; otherwise its images stay on disk. If no
validation split was published, one is carved out of train (`prepare_image_set`).
"""

import hashlib
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.labels import SPACES
from fer.core.paths import expand_user
from fer.core.registry import READERS
from fer.core.signature import accepted
from fer.data import synthetic
from fer.data.arrays import checked
from fer.data.cache import CacheKey, cached, file_key, generated_key, joint_key
from fer.data.config import ConcatConfig, DataConfig, ImageFilesConfig, SyntheticConfig
from fer.data.dataset import EmotionData
from fer.data.emotions import choose_emotions
from fer.data.folds import hold_out
from fer.data.groups import Groups, find_groups, warn_of_shared_groups
from fer.data.image_files import ImageFiles
from fer.data.readers import fer2013, ferplus
from fer.data.readers.concat import concatenate
from fer.data.splits import carve_validation, check_training_classes, indices

# Version of the output of `prepare_image_set`. Increase it to invalidate older caches.
VERSION = 3
_UNREADABLE = "unreadable file"


def read_dataset(data: Part, to_train: bool = True) -> EmotionData:
    """Return a dataset, from the cache if it holds a current copy.

    Args:
        data: The `DataConfig`, or its plain values.
        to_train: Check that train has images of at least two emotions; False for scoring.

    Raises:
        FerError: The data cannot be read, or has not the emotions that the config chooses.
    """
    config = DataConfig.of(data)
    # Chosen after the cache, so that one entry serves every choice.
    chosen = choose_emotions(read_all_emotions(config, to_train), config.emotions, config.merge, to_train)
    return hold_out(chosen, config.fold)


def read_all_emotions(config: DataConfig, to_train: bool = True) -> EmotionData:
    """Return a dataset before a choice of emotions is applied; FER+ decides its labels by merged votes.

    Raises:
        FerError: The data cannot be read.
    """
    entry = READERS.get(config.name)
    result = entry.build(**accepted(entry.build, config.options()))
    if not entry.is_builtin:
        result = checked(entry, result, to_train)
    # Image files are checked before they are decoded.
    if to_train and not isinstance(config, ConcatConfig | SyntheticConfig):
        check_training_classes(result)
    if not isinstance(config, ImageFilesConfig):
        # The sources of several sets are aligned one by one.
        return _align(result, None if isinstance(config, ConcatConfig) else config.landmarks)
    prepared = prepare_image_set(result, config, to_train)
    if len(prepared) < len(result):
        # Unreadable files were dropped; the cache does not say which.
        return _align(prepared, config.landmarks)
    if isinstance(prepared.images, np.ndarray):
        assert isinstance(result.images, ImageFiles)
        prepared = replace(prepared, file_names=result.images.files.names)
    return _align(prepared, config.landmarks, _names(result))


def _align(data: EmotionData, landmarks: str | None, names: list[str] | None = None) -> EmotionData:
    if landmarks is None:
        return data
    # Here, because it loads torch, which reading needs for nothing else.
    from fer.data.align import align_faces

    return align_faces(data, landmarks, names)


def _names(data: EmotionData) -> list[str]:
    """Return the paths of image files within their folder."""
    assert isinstance(data.images, ImageFiles)
    return [os.fsdecode(name) for name in data.images.files.names.tolist()]


def fer2013_set(
    path: str,
    votes: bool = False,
    labels: list[str] | None = None,
    merge: ferplus.Merge | None = None,
    drop_not_faces: bool = False,
) -> EmotionData:
    """Return FER2013, with the votes of FER+ on request; ``merge`` is for the votes."""
    data = _read_fer2013(path, labels)
    if not votes and not drop_not_faces:
        return data
    found = ferplus.read_votes(expand_user(path).with_name(ferplus.FILENAME))
    if votes:
        data = replace(data, votes=ferplus.vote_distributions(found, data, merge))
    return ferplus.drop_not_faces(found, data) if drop_not_faces else data


def _read_fer2013(path: str | Path, labels: list[str] | None = None) -> EmotionData:
    key = file_key(path, "fer2013", fer2013.VERSION)
    if labels is not None:
        key = joint_key([key], {"labels": labels})
    return cached(key, lambda: fer2013.read_fer2013(path, labels))


def ferplus_set(
    path: str, contempt: bool = True, ambiguous: bool = False, merge: ferplus.Merge | None = None
) -> EmotionData:
    """Return FER+; the votes of merged emotions are added up before labels are decided."""
    images_path, votes_path = ferplus.find_files(path)
    rules = {"contempt": contempt, "ambiguous": ambiguous}

    def read_and_relabel() -> EmotionData:
        votes, images = ferplus.read_votes(votes_path), _read_fer2013(images_path)
        return ferplus.relabel(votes, images, merge=merge, **rules)

    if merge:
        # Each choice has other images. Reading takes a second, because those of FER2013 are cached.
        return read_and_relabel()
    keys = [
        file_key(images_path, "fer2013", fer2013.VERSION),
        file_key(votes_path, "ferplus", ferplus.VERSION),
    ]
    return cached(joint_key(keys, rules), read_and_relabel)


def synthetic_set(
    num_train: int, num_val: int, num_test: int, size: int, color: bool, seed: int, difficulty: float
) -> EmotionData:
    """Return synthetic faces."""
    arguments: dict[str, Any] = {
        "num_train": num_train, "num_val": num_val, "num_test": num_test, "size": size, "color": color,
        "seed": seed, "difficulty": difficulty,
    }  # fmt: skip
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def render() -> EmotionData:
        print("Rendering synthetic faces. The next run reads them from the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, render)


def concat_set(
    sources: list[DataConfig],
    labels: str,
    size: int,
    color: bool,
    val_from: str | int | None = None,
    merge: ferplus.Merge | None = None,
    landmarks: str | None = None,
) -> EmotionData:
    """Return several data sets together; ``merge`` is for FER+'s votes, ``landmarks`` for each source."""
    names = [str(source.name) for source in sources]
    keys = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names, 1)]
    parts = {
        key: read_all_emotions(source.replace(merge=merge, landmarks=source.landmarks or landmarks))
        for key, source in zip(keys, sources, strict=True)
    }
    return concatenate(parts, SPACES[labels], size, color, val_from)


def prepare_image_set(data: EmotionData, config: ImageFilesConfig, to_train: bool = True) -> EmotionData:
    """Return a dataset of image files ready for training: decoded if it fits into memory, else on disk.

    If no validation split was published, ``val_fraction`` of train becomes one. The choice depends on
    ``split_seed`` and the bytes of the files, not on the size at which they are decoded. Decoded datasets are
    cached. A file that is added, removed or changed (by name, size or modification time) invalidates the
    cache.

    Args:
        data: What a reader of image files returns, with `ImageFiles`.
        config: ``val_fraction``, ``split_seed``, ``group``, ``memory_gb`` and ``skip_corrupt`` are used.
        to_train: Require a validation split; otherwise train is not divided if it has too few images.

    Raises:
        FerError: Some files are unreadable and ``skip_corrupt`` is false, or there are too few images.
    """
    assert isinstance(data.images, ImageFiles)
    images = replace(data.images, skip_corrupt=config.skip_corrupt)
    data = replace(data, images=images)
    if (groups := _groups(data, config.group)) is not None:
        warn_of_shared_groups(data, groups)
    if images.nbytes > config.memory_gb * 1e9:
        return _carve_if_needed(_drop_suspects(data, images), config, to_train)
    key = _cache_key(data, images, config, groups)
    return cached(key, lambda: _decode_all(data, images, config, to_train))


def _groups(data: EmotionData, group: str) -> Groups | None:
    assert isinstance(data.images, ImageFiles)
    names = _names(data)
    train = data.split == data.split_names.index(data.roles["train"]) if "train" in data.roles else None
    return None if train is None else find_groups(data, names, train, group)


def _carve_if_needed(data: EmotionData, config: ImageFilesConfig, to_train: bool) -> EmotionData:
    if "val" in data.roles or "train" not in data.roles:
        return replace(data, groups=None)
    try:
        return replace(_carve(data, config), groups=None)
    except FerError:
        if to_train:
            raise
        return replace(data, groups=None)


def _carve(data: EmotionData, config: ImageFilesConfig) -> EmotionData:
    """Return the data with a validation split; groups that cannot be divided are used only if chosen."""
    groups = _groups(data, config.group)
    try:
        return carve_validation(data, config.val_fraction, config.split_seed, groups)
    except FerError as error:
        if groups is None or groups.chosen:
            raise
        warnings.warn(f"{error} Continuing without groups.", stacklevel=2)
        return carve_validation(data, config.val_fraction, config.split_seed)


def _decode_all(
    data: EmotionData, images: ImageFiles, config: ImageFilesConfig, to_train: bool
) -> EmotionData:
    print(f"Decoding {len(images):,} images. The next run reads them from the cache.", flush=True)
    pixels, readable = images.read_all()
    if not readable.all():
        images.report_unreadable(np.flatnonzero(~readable), nothing_left=not readable.any())
        data, pixels = _drop_rows(data, ~readable), pixels[readable]
    return replace(_carve_if_needed(data, config, to_train), images=pixels)


def _drop_suspects(data: EmotionData, images: ImageFiles) -> EmotionData:
    """Drop unreadable files among those with a suspicious name or size; other damage shows on decoding."""
    suspects = images.suspect_rows()
    unreadable = suspects[~images.read(suspects)[1]]
    if not len(unreadable):
        return data
    images.report_unreadable(unreadable, nothing_left=len(unreadable) == len(images))
    return _drop_rows(data, np.isin(np.arange(len(data)), unreadable))


def _drop_rows(data: EmotionData, mask: np.ndarray) -> EmotionData:
    """Return the data without the rows of a mask ``(N,)``; ``dropped`` does not count the test split."""
    test = data.split_names.index(data.roles["test"]) if "test" in data.roles else -1
    num_dropped = int((mask & (data.split != test)).sum())
    dropped = {**data.dropped, _UNREADABLE: num_dropped} if num_dropped else data.dropped
    rest = data.take(~mask)
    roles = {role: name for role, name in data.roles.items() if role == "train" or len(indices(rest, role))}
    return replace(rest, roles=roles, dropped=dropped)


def _cache_key(
    data: EmotionData, images: ImageFiles, config: ImageFilesConfig, groups: Groups | None
) -> CacheKey:
    checksum = hashlib.sha256(images.fingerprint().encode())
    for array in (data.targets, data.split, *([groups.numbers] if groups else [])):
        checksum.update(np.ascontiguousarray(array).tobytes())
    source = ["pictures", data.source, images.size, images.color]
    split_options: list[Any] = [config.val_fraction, config.split_seed, images.skip_corrupt]
    split_options += [groups.rule] if groups else []
    state = [VERSION, checksum.hexdigest(), data.labels.names, data.split_names, data.dropped, split_options]
    return CacheKey(json.dumps(source), json.dumps(state, sort_keys=True))
