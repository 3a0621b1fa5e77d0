"""Sets of pictures on disk: a validation part where none was published, pixels in memory where they fit."""

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

VERSION = 3  # of what `hold` makes of a set; a new number makes caches of older ones stale
_UNREADABLE = "unreadable file"


def hold(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    """Make a set of pictures ready for training: decoded where it fits the memory, else on disk.

    Where no validation part was published, ``val_fraction`` of the training part becomes one, chosen by
    ``split_seed`` and the files' bytes, whatever size the pictures are decoded at. Decoded sets are cached; a
    file that is added, removed or changed (by name, size or time) makes the cache stale.

    Args:
        data: What a reader of pictures returns, with `ImageFiles`.
        options: ``val_fraction``, ``split_seed``, ``memory_gb`` (10^9 bytes) and ``skip_corrupt``.

    Raises:
        FerError: There are unreadable files (unless ``skip_corrupt``), or an option is out of range.
    """
    assert isinstance(data.images, ImageFiles)
    images = replace(data.images, skip_corrupt=options["skip_corrupt"])
    data = replace(data, images=images)
    if not options["memory_gb"] >= 0:
        raise FerError(f"datamodule.memory_gb: expected 0 or more, got {options['memory_gb']}.")
    if images.nbytes > options["memory_gb"] * 1e9:
        return _carve(_without_suspects(data, images), options)
    return cached(_key(data, images, options), lambda: _decode(data, images, options))


def _carve(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    if "val" in data.roles:
        return data
    return carve_validation(data, options["val_fraction"], options["split_seed"])


def _decode(data: EmotionData, images: ImageFiles, options: Mapping[str, Any]) -> EmotionData:
    print(f"Decoding {len(images):,} pictures; the next run finds them in the cache.", flush=True)
    pixels, readable = images.read_all()
    if not readable.all():
        images.give_up(np.flatnonzero(~readable), all_of_it=not readable.any())
        data, pixels = _leave_out(data, ~readable), pixels[readable]
    return replace(_carve(data, options), images=pixels)


def _without_suspects(data: EmotionData, images: ImageFiles) -> EmotionData:
    """Leave out what can be told from afar to be no picture; the rest shows when it is decoded."""
    suspects = images.suspects()
    bad = suspects[~images.read(suspects)[1]]
    if not len(bad):
        return data
    images.give_up(bad, all_of_it=len(bad) == len(images))
    return _leave_out(data, np.isin(np.arange(len(data)), bad))


def _leave_out(data: EmotionData, rows: np.ndarray) -> EmotionData:
    test = data.split_names.index(data.roles["test"]) if "test" in data.roles else -1
    num_dropped = int((rows & (data.split != test)).sum())
    dropped = {**data.dropped, _UNREADABLE: num_dropped} if num_dropped else data.dropped
    left = data.take(~rows)
    roles = {role: name for role, name in data.roles.items() if role == "train" or len(indices(left, role))}
    return replace(left, roles=roles, dropped=dropped)


def _key(data: EmotionData, images: ImageFiles, options: Mapping[str, Any]) -> CacheKey:
    checksum = hashlib.sha256(images.fingerprint().encode())
    for part in (data.targets, data.split):
        checksum.update(np.ascontiguousarray(part).tobytes())
    source = ["pictures", data.source, images.size, images.color]
    chosen = [options["val_fraction"], options["split_seed"], images.skip_corrupt]
    state = [VERSION, checksum.hexdigest(), data.labels.names, data.split_names, data.dropped, chosen]
    return CacheKey(json.dumps(source), json.dumps(state, sort_keys=True))
