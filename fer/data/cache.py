"""Memory-mapped cache of datasets: a source is parsed once, later runs map the file.

An entry is one file: the SHA-256 of the rest, a JSON header, then the arrays. It is written to a temporary
file in the same folder and renamed atomically. A reader therefore sees a complete file or none, and several
processes may start at the same time. The checksum is verified before anything else is read, and nothing is
pickled.
"""

import hashlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import from_dict, to_dict
from fer.core.paths import atomic_write, cache_folder, expand_user
from fer.data.dataset import EmotionData

_FORMAT = 2
# Bytes. The size of a processor's cache line, and a multiple of every item size.
_ALIGNMENT = 64
# Bytes of the checksum, in hex digits.
_CHECKSUM_SIZE = 64
# Bytes of the header's length, stored before the header in decimal digits padded with spaces.
_LENGTH_SIZE = 64
# A temporary file older than this was left by a killed process.
_ABANDONED_S = 3600.0


@dataclass(frozen=True)
class CacheKey:
    """Identity of a cache entry.

    Attributes:
        source: What was read. Entries with the same source replace each other.
        state: Which version of the source was read. An entry with another state is stale.
    """

    source: str
    state: str

    @property
    def filename(self) -> str:
        """File name of the entry: a hash of the source and a hash of the state."""
        return f"{_short_hash(self.source)}-{_short_hash(self.state)}.fer"


def file_key(path: str | Path, reader: str, version: int) -> CacheKey:
    """Return the key of a parsed file: its resolved path, size and modification time, and its reader.

    Args:
        path: The file. If it is missing or inaccessible, the state is empty, and the reader reports the
            error.
        reader: Name of the reader.
        version: Version of the output of the reader; a new one makes older entries stale.
    """
    path = expand_user(path)
    state: list[int] = []
    try:
        path = path.resolve()
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns]
    except (OSError, RuntimeError, ValueError):
        # The file is missing, links form a loop, or the path contains a NUL character.
        pass
    return CacheKey(_dump([reader, str(path)]), _dump([version, state]))


def generated_key(generator: str, arguments: Mapping[str, Any], version: int) -> CacheKey:
    """Return the key of generated data: generator, arguments (plain JSON values) and version."""
    return CacheKey(_dump([generator, dict(arguments)]), _dump([version]))


def joint_key(keys: Sequence[CacheKey], options: Mapping[str, Any]) -> CacheKey:
    """Return the key of data read from several sources, with options (plain JSON values)."""
    return CacheKey(_dump([[key.source for key in keys], dict(options)]), _dump([key.state for key in keys]))


def cached(key: CacheKey, read: Callable[[], EmotionData]) -> EmotionData:
    """Return the output of ``read``, from the cache if it has an entry for ``key``.

    Entries are in ``FER_CACHE_DIR``, by default in the user's cache folder. A stale or damaged entry is
    rebuilt. If the folder cannot be written, a warning is issued and the data is returned without a cache.

    Example:
        >>> cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))

    Returns:
        The data; ``images`` is a read-only memory map.

    Raises:
        FerError: ``read`` raised it; nothing is stored in the cache.
    """
    if (data := _load(key)) is not None:
        return data
    data = read()
    try:
        _store(key, data)
    except (OSError, FerError) as error:
        # FerError: the user has no home folder.
        warnings.warn(
            f"Continuing without a cache: {error}. "
            "Set FER_CACHE_DIR to a writable folder to make the next start faster.",
            stacklevel=2,
        )
        return data
    return _load(key) or data


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _load(key: CacheKey) -> EmotionData | None:
    """Return the data of an entry; None if it is missing, incomplete or has another key."""
    try:
        raw = np.memmap(cache_folder() / key.filename, dtype=np.uint8, mode="r")
        body = raw[_CHECKSUM_SIZE:]
        if hashlib.sha256(body.data).hexdigest().encode() != raw[:_CHECKSUM_SIZE].tobytes():
            return None
        return _decode(body, key)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        # Whatever is wrong with the file, the entry is rebuilt.
        return None


def _decode(body: np.ndarray, key: CacheKey) -> EmotionData | None:
    start = _LENGTH_SIZE + int(body[:_LENGTH_SIZE].tobytes())
    header = json.loads(body[_LENGTH_SIZE:start].tobytes())
    if (header["format"], header["source"], header["state"]) != (_FORMAT, key.source, key.state):
        return None
    images, targets, split, *votes = _views(body[start:], header["arrays"])
    return EmotionData(
        images=images,
        targets=np.array(targets),
        split=np.array(split),
        split_names=tuple(header["split_names"]),
        roles=header["roles"],
        labels=from_dict(header["labels"]),
        source=header["data_source"],
        votes=np.array(votes[0]) if votes else None,
        dropped=header["dropped"],
    )


def _views(raw: np.ndarray, entries: list[Any]) -> Iterator[np.ndarray]:
    """Yield the consecutive arrays in ``raw`` as views."""
    start = 0
    for dtype, shape in entries:
        stop = start + np.dtype(dtype).itemsize * math.prod(shape)
        yield raw[start:stop].view(dtype).reshape(shape)
        start = stop + -stop % _ALIGNMENT


def _store(key: CacheKey, data: EmotionData) -> None:
    """Write an entry atomically, and remove the entries that it replaces.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / key.filename) as file:
        _write(file, key, data)
    _remove_stale(folder, key)


def _write(file: BinaryIO, key: CacheKey, data: EmotionData) -> None:
    checksum = hashlib.sha256()
    file.write(b"0" * _CHECKSUM_SIZE)
    for segment in _segments(key, data):
        checksum.update(segment)
        file.write(segment)
    file.seek(0)
    file.write(checksum.hexdigest().encode())


def _segments(key: CacheKey, data: EmotionData) -> Iterator[bytes | memoryview]:
    """Yield what follows the checksum: length of the header, header, and arrays padded to `_ALIGNMENT`."""
    votes = [] if data.votes is None else [data.votes]
    arrays = [np.ascontiguousarray(array) for array in (data.images, data.targets, data.split, *votes)]
    header = json.dumps(_header(key, data, arrays)).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    yield str(len(header)).encode().ljust(_LENGTH_SIZE)
    yield header
    for array in arrays:
        yield array.reshape(-1).view(np.uint8).data
        yield bytes(-array.nbytes % _ALIGNMENT)


def _header(key: CacheKey, data: EmotionData, arrays: list[np.ndarray]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "source": key.source,
        "state": key.state,
        "arrays": [[array.dtype.str, list(array.shape)] for array in arrays],
        "split_names": list(data.split_names),
        "roles": data.roles,
        "labels": to_dict(data.labels),
        "data_source": data.source,
        "dropped": data.dropped,
    }


def _remove_stale(folder: Path, key: CacheKey) -> None:
    """Remove entries of the same source with another state, and temporary files of killed processes."""
    stale = [path for path in folder.glob(f"{_short_hash(key.source)}-*.fer") if path.name != key.filename]
    for path in [*stale, *filter(_is_abandoned, folder.glob("*.tmp"))]:
        path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except FileNotFoundError:
        return False
