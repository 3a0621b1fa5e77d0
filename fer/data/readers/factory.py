"""Read the dataset that the options of a datamodule config describe, through the cache.

FER2013, FER+ and synthetic data are decoded in full and cached. A dataset of image files (`folder`, `rafdb`,
`affectnet`) is decoded and cached if it fits into ``memory_gb``; otherwise its images stay on disk. If no
validation split was published, one is carved out of train (`prepare_image_set`).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import SPACES
from fer.core.paths import expand_user
from fer.data import synthetic
from fer.data.cache import CacheKey, cached, file_key, generated_key, joint_key
from fer.data.dataset import EmotionData
from fer.data.image_files import ImageFiles
from fer.data.readers import fer2013, ferplus
from fer.data.readers.affectnet import read_affectnet
from fer.data.readers.concat import concatenate
from fer.data.readers.folder import read_folder
from fer.data.readers.rafdb import read_rafdb
from fer.data.splits import carve_validation, indices

Options = Mapping[str, Any]
# Version of the output of `prepare_image_set`. Increase it to invalidate older caches.
VERSION = 3
_UNREADABLE = "unreadable file"
_INTEGER_OPTIONS = {"size", "num_train", "num_val", "num_test", "seed", "split_seed"}


def read_dataset(options: Options) -> EmotionData:
    """Return the dataset that a datamodule config names, from the cache if it holds a current copy.

    Args:
        options: ``name`` (one of `READERS`) and the options of that reader, such as ``path``.

    Raises:
        FerError: There is no such reader, an option is invalid, or the data cannot be read.
    """
    name = options["name"]
    if name not in READERS:
        hint = did_you_mean(str(name), READERS)
        raise FerError(f"datamodule.name: expected one of {', '.join(READERS)}, got {name!r}.{hint}")
    for key in _INTEGER_OPTIONS & options.keys():
        if not isinstance(options[key], int):
            raise FerError(f"datamodule.{key}: expected an integer, got {options[key]!r}.")
    return READERS[name](options)


def _fer2013(options: Options) -> EmotionData:
    path = options["path"]
    data = cached(file_key(path, "fer2013", fer2013.VERSION), lambda: fer2013.read_fer2013(path))
    if not options.get("votes"):
        return data
    votes = ferplus.read_votes(expand_user(path).with_name(ferplus.FILENAME))
    return replace(data, votes=ferplus.vote_distributions(votes, data))


def _ferplus(options: Options) -> EmotionData:
    images_path, votes_path = ferplus.find_files(options["path"])
    rules = {name: options[name] for name in ("contempt", "ambiguous")}
    keys = [
        file_key(images_path, "fer2013", fer2013.VERSION),
        file_key(votes_path, "ferplus", ferplus.VERSION),
    ]

    def read_and_relabel() -> EmotionData:
        return ferplus.relabel(ferplus.read_votes(votes_path), _fer2013({"path": images_path}), **rules)

    return cached(joint_key(keys, rules), read_and_relabel)


def _synthetic(options: Options) -> EmotionData:
    names = ("num_train", "num_val", "num_test", "size", "color", "seed", "difficulty")
    arguments = {name: options[name] for name in names}
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def render() -> EmotionData:
        print("Rendering synthetic faces. The next run reads them from the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, render)


def _concat(options: Options) -> EmotionData:
    if options["labels"] not in SPACES:
        hint = did_you_mean(str(options["labels"]), SPACES)
        raise FerError(f"datamodule.labels: expected {', '.join(SPACES)}, got {options['labels']!r}.{hint}")
    names = [str(source["name"]) for source in options["sources"]]
    keys = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names, 1)]
    parts = {key: read_dataset(source) for key, source in zip(keys, options["sources"], strict=True)}
    labels = SPACES[options["labels"]]
    return concatenate(parts, labels, options["size"], options["color"], options["val_from"])


def _image_files(list_images: Callable[..., EmotionData]) -> Callable[[Options], EmotionData]:
    """Return a function that lists a dataset of image files with ``list_images`` and prepares it."""

    def read_and_prepare(options: Options) -> EmotionData:
        arguments = {name: options[name] for name in ("size", "color", "labels") if name in options}
        return prepare_image_set(list_images(options["path"], **arguments), options)

    return read_and_prepare


READERS: dict[str, Callable[[Options], EmotionData]] = {
    "affectnet": _image_files(read_affectnet),
    "concat": _concat,
    "fer2013": _fer2013,
    "ferplus": _ferplus,
    "folder": _image_files(read_folder),
    "rafdb": _image_files(read_rafdb),
    "synthetic": _synthetic,
}


def prepare_image_set(data: EmotionData, options: Options) -> EmotionData:
    """Return a dataset of image files ready for training: decoded if it fits into memory, else on disk.

    If no validation split was published, ``val_fraction`` of train becomes one. The choice depends on
    ``split_seed`` and the bytes of the files, not on the size at which they are decoded. Decoded datasets are
    cached. A file that is added, removed or changed (by name, size or modification time) invalidates the
    cache.

    Args:
        data: What a reader of image files returns, with `ImageFiles`.
        options: ``val_fraction``, ``split_seed``, ``memory_gb`` (10^9 bytes) and ``skip_corrupt``.

    Raises:
        FerError: Some files are unreadable and ``skip_corrupt`` is false, or an option is out of range.
    """
    assert isinstance(data.images, ImageFiles)
    images = replace(data.images, skip_corrupt=options["skip_corrupt"])
    data = replace(data, images=images)
    if not options["memory_gb"] >= 0:
        raise FerError(f"datamodule.memory_gb: expected 0 or more, got {options['memory_gb']}.")
    if images.nbytes > options["memory_gb"] * 1e9:
        return _carve_if_needed(_drop_suspects(data, images), options)
    return cached(_cache_key(data, images, options), lambda: _decode_all(data, images, options))


def _carve_if_needed(data: EmotionData, options: Options) -> EmotionData:
    if "val" in data.roles:
        return data
    return carve_validation(data, options["val_fraction"], options["split_seed"])


def _decode_all(data: EmotionData, images: ImageFiles, options: Options) -> EmotionData:
    print(f"Decoding {len(images):,} images. The next run reads them from the cache.", flush=True)
    pixels, readable = images.read_all()
    if not readable.all():
        images.report_unreadable(np.flatnonzero(~readable), nothing_left=not readable.any())
        data, pixels = _drop_rows(data, ~readable), pixels[readable]
    return replace(_carve_if_needed(data, options), images=pixels)


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


def _cache_key(data: EmotionData, images: ImageFiles, options: Options) -> CacheKey:
    checksum = hashlib.sha256(images.fingerprint().encode())
    for array in (data.targets, data.split):
        checksum.update(np.ascontiguousarray(array).tobytes())
    source = ["pictures", data.source, images.size, images.color]
    split_options = [options["val_fraction"], options["split_seed"], images.skip_corrupt]
    state = [VERSION, checksum.hexdigest(), data.labels.names, data.split_names, data.dropped, split_options]
    return CacheKey(json.dumps(source), json.dumps(state, sort_keys=True))
