"""Read the dataset that a config describes, through the cache.

FER2013, FER+ and synthetic data are decoded in full and cached. A dataset of image files (`folder`, `rafdb`,
`affectnet`) is decoded and cached if it fits into ``memory_gb``; otherwise its images stay on disk. If no
validation split was published, one is carved out of train (`prepare_image_set`).
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer.core.config import Part
from fer.core.labels import SPACES
from fer.core.paths import expand_user
from fer.data import synthetic
from fer.data.cache import CacheKey, cached, file_key, generated_key, joint_key
from fer.data.config import (
    AffectNetConfig,
    ConcatConfig,
    DataConfig,
    FER2013Config,
    FERPlusConfig,
    FolderConfig,
    ImageFilesConfig,
    RAFDBConfig,
    SyntheticConfig,
)
from fer.data.dataset import EmotionData
from fer.data.image_files import ImageFiles
from fer.data.readers import fer2013, ferplus
from fer.data.readers.affectnet import read_affectnet
from fer.data.readers.concat import concatenate
from fer.data.readers.folder import read_folder
from fer.data.readers.rafdb import read_rafdb
from fer.data.splits import carve_validation, indices

# Version of the output of `prepare_image_set`. Increase it to invalidate older caches.
VERSION = 3
_UNREADABLE = "unreadable file"


def read_dataset(data: Part) -> EmotionData:
    """Return a dataset, from the cache if it holds a current copy.

    Args:
        data: The `DataConfig`, or its plain values.

    Raises:
        FerError: The data cannot be read.
    """
    match DataConfig.of(data):
        case FER2013Config() as config:
            return _fer2013(config)
        case FERPlusConfig() as config:
            return _ferplus(config)
        case SyntheticConfig() as config:
            return _synthetic(config)
        case ConcatConfig() as config:
            return _concat(config)
        case FolderConfig(path=path, size=size, color=color) as config:
            return prepare_image_set(read_folder(path, size, color, config.labels), config)
        case RAFDBConfig(path=path, size=size, color=color) as config:
            return prepare_image_set(read_rafdb(path, size, color), config)
        case AffectNetConfig(path=path, size=size, color=color) as config:
            return prepare_image_set(read_affectnet(path, size, color), config)
    raise AssertionError("every data set has a reader")


def _fer2013(config: FER2013Config) -> EmotionData:
    data = _read_fer2013(config.path)
    if not config.votes:
        return data
    votes = ferplus.read_votes(expand_user(config.path).with_name(ferplus.FILENAME))
    return replace(data, votes=ferplus.vote_distributions(votes, data))


def _read_fer2013(path: str | Path) -> EmotionData:
    return cached(file_key(path, "fer2013", fer2013.VERSION), lambda: fer2013.read_fer2013(path))


def _ferplus(config: FERPlusConfig) -> EmotionData:
    images_path, votes_path = ferplus.find_files(config.path)
    rules = {"contempt": config.contempt, "ambiguous": config.ambiguous}
    keys = [
        file_key(images_path, "fer2013", fer2013.VERSION),
        file_key(votes_path, "ferplus", ferplus.VERSION),
    ]

    def read_and_relabel() -> EmotionData:
        return ferplus.relabel(ferplus.read_votes(votes_path), _read_fer2013(images_path), **rules)

    return cached(joint_key(keys, rules), read_and_relabel)


def _synthetic(config: SyntheticConfig) -> EmotionData:
    names = ("num_train", "num_val", "num_test", "size", "color", "seed", "difficulty")
    arguments = {name: getattr(config, name) for name in names}
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def render() -> EmotionData:
        print("Rendering synthetic faces. The next run reads them from the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, render)


def _concat(config: ConcatConfig) -> EmotionData:
    names = [str(source.name) for source in config.sources]
    keys = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names, 1)]
    parts = {key: read_dataset(source) for key, source in zip(keys, config.sources, strict=True)}
    return concatenate(parts, SPACES[config.labels], config.size, config.color, config.val_from)


def prepare_image_set(data: EmotionData, config: ImageFilesConfig) -> EmotionData:
    """Return a dataset of image files ready for training: decoded if it fits into memory, else on disk.

    If no validation split was published, ``val_fraction`` of train becomes one. The choice depends on
    ``split_seed`` and the bytes of the files, not on the size at which they are decoded. Decoded datasets are
    cached. A file that is added, removed or changed (by name, size or modification time) invalidates the
    cache.

    Args:
        data: What a reader of image files returns, with `ImageFiles`.
        config: ``val_fraction``, ``split_seed``, ``memory_gb`` and ``skip_corrupt`` are used.

    Raises:
        FerError: Some files are unreadable and ``skip_corrupt`` is false.
    """
    assert isinstance(data.images, ImageFiles)
    images = replace(data.images, skip_corrupt=config.skip_corrupt)
    data = replace(data, images=images)
    if images.nbytes > config.memory_gb * 1e9:
        return _carve_if_needed(_drop_suspects(data, images), config)
    return cached(_cache_key(data, images, config), lambda: _decode_all(data, images, config))


def _carve_if_needed(data: EmotionData, config: ImageFilesConfig) -> EmotionData:
    if "val" in data.roles:
        return data
    return carve_validation(data, config.val_fraction, config.split_seed)


def _decode_all(data: EmotionData, images: ImageFiles, config: ImageFilesConfig) -> EmotionData:
    print(f"Decoding {len(images):,} images. The next run reads them from the cache.", flush=True)
    pixels, readable = images.read_all()
    if not readable.all():
        images.report_unreadable(np.flatnonzero(~readable), nothing_left=not readable.any())
        data, pixels = _drop_rows(data, ~readable), pixels[readable]
    return replace(_carve_if_needed(data, config), images=pixels)


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


def _cache_key(data: EmotionData, images: ImageFiles, config: ImageFilesConfig) -> CacheKey:
    checksum = hashlib.sha256(images.fingerprint().encode())
    for array in (data.targets, data.split):
        checksum.update(np.ascontiguousarray(array).tobytes())
    source = ["pictures", data.source, images.size, images.color]
    split_options = [config.val_fraction, config.split_seed, images.skip_corrupt]
    state = [VERSION, checksum.hexdigest(), data.labels.names, data.split_names, data.dropped, split_options]
    return CacheKey(json.dumps(source), json.dumps(state, sort_keys=True))
