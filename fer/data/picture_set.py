"""Prepare a dataset of image files for training: carve out val if needed, decode into memory if it fits."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fer.data.cache import CacheKey, cached
from fer.data.dataset import EmotionData
from fer.data.pictures import ImageFiles
from fer.data.splits import carve_validation, indices
from fer.errors import FerError

# Version of the output of `prepare_image_set`; a change invalidates older caches.
VERSION = 3
_UNREADABLE = "unreadable file"


def prepare_image_set(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    """Return a dataset of image files ready for training: decoded if it fits into memory, else on disk.

    Where no validation split was published, ``val_fraction`` of train becomes one. The choice depends on
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


def _carve_if_needed(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    if "val" in data.roles:
        return data
    return carve_validation(data, options["val_fraction"], options["split_seed"])


def _decode_all(data: EmotionData, images: ImageFiles, options: Mapping[str, Any]) -> EmotionData:
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


def _cache_key(data: EmotionData, images: ImageFiles, options: Mapping[str, Any]) -> CacheKey:
    checksum = hashlib.sha256(images.fingerprint().encode())
    for array in (data.targets, data.split):
        checksum.update(np.ascontiguousarray(array).tobytes())
    source = ["pictures", data.source, images.size, images.color]
    split_options = [options["val_fraction"], options["split_seed"], images.skip_corrupt]
    state = [VERSION, checksum.hexdigest(), data.labels.names, data.split_names, data.dropped, split_options]
    return CacheKey(json.dumps(source), json.dumps(state, sort_keys=True))
