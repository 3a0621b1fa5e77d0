"""Memory-mapped cache of what readers return: parse once, map the bytes ever after.

One entry is one file: a SHA-256 of all that follows, a JSON header, then the arrays. It is written beside its
place and moved there in one step, so a reader sees a whole file or none, and of several processes that start
at once each ends with a good one. Nothing in it is trusted before the checksum has matched, and none of it is
pickle.
"""

import hashlib
import json
import math
import os
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fer.data.dataset import EmotionData
from fer.errors import FerError
from fer.labels import from_dict, to_dict
from fer.places import at_home

_FORMAT = 2
_ALIGNMENT = 64  # bytes; a cache line, and a multiple of every item size
_CHECKSUM_SIZE = 64  # hex digits
_LENGTH_SIZE = 64  # decimal digits and blanks: the header's length, before the header
_ABANDONED_S = 3600.0  # a temporary file this old belongs to a process that was killed


@dataclass(frozen=True)
class CacheKey:
    """What an entry is a copy of.

    Attributes:
        source: What was read; entries of one source replace each other.
        state: The version of it that was read; an entry in another state is stale.
    """

    source: str
    state: str

    @property
    def filename(self) -> str:
        """Name of the entry's file: one hash for the source, one for its state."""
        return f"{_short_hash(self.source)}-{_short_hash(self.state)}.fer"


def file_key(path: str | Path, reader: str, version: int) -> CacheKey:
    """Return the key of a file's contents: its resolved path, size and time of change, and its reader.

    Args:
        path: The file. Where it cannot be seen its state is empty: the reader will say what is wrong with it.
        reader: Name of the reader.
        version: Version of what the reader makes of a file; a new one makes older entries stale.
    """
    path = at_home(path)
    state: list[int] = []
    try:
        path = path.resolve()
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns]
    except (OSError, RuntimeError, ValueError):  # no file, a loop of links, a NUL in the path
        pass
    return CacheKey(_dump([reader, str(path)]), _dump([version, state]))


def generated_key(generator: str, arguments: Mapping[str, Any], version: int) -> CacheKey:
    """Return the key of generated data: generator, arguments (plain JSON values) and version."""
    return CacheKey(_dump([generator, dict(arguments)]), _dump([version]))


def joint_key(keys: Sequence[CacheKey], options: Mapping[str, Any]) -> CacheKey:
    """Return the key of what is read from several sources, with options (plain JSON values)."""
    return CacheKey(_dump([[key.source for key in keys], dict(options)]), _dump([key.state for key in keys]))


def cached(key: CacheKey, read: Callable[[], EmotionData]) -> EmotionData:
    """Return what ``read`` returns, from the cache where it holds ``key``.

    ``cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))``

    Entries lie in ``FER_CACHE_DIR``, or else in the user's cache folder. A stale or damaged entry is rebuilt.
    Where the folder cannot be written, a warning says so and the data comes without a cache.

    Returns:
        The data; ``images`` is a read-only memory map.

    Raises:
        FerError: Whatever ``read`` raises; it leaves nothing in the cache.
    """
    if (data := _load(key)) is not None:
        return data
    data = read()
    try:
        _store(key, data)
    except (OSError, FerError) as error:  # FerError: the user has no home folder
        warnings.warn(
            f"Going on without a cache: {error}. Set FER_CACHE_DIR to a folder that can be written, "
            "and the next start takes a fraction of a second.",
            stacklevel=2,
        )
        return data
    return _load(key) or data


def cache_folder() -> Path:
    """Return the folder of all entries: ``FER_CACHE_DIR``, or ``fer`` in the user's cache folder."""
    if own := os.environ.get("FER_CACHE_DIR"):
        return at_home(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else at_home("~/.cache")) / "fer"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _load(key: CacheKey) -> EmotionData | None:
    """Return an entry's data; None where there is none, or none that is whole and of this key."""
    try:
        raw = np.memmap(cache_folder() / key.filename, dtype=np.uint8, mode="r")
        body = raw[_CHECKSUM_SIZE:]
        if hashlib.sha256(body.data).hexdigest().encode() != raw[:_CHECKSUM_SIZE].tobytes():
            return None
        return _decode(body, key)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None  # whatever is wrong with a file of foreign making, the cure is to build a new one


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
    """Yield the arrays that lie in ``raw`` one after the other, as views."""
    start = 0
    for dtype, shape in entries:
        stop = start + np.dtype(dtype).itemsize * math.prod(shape)
        yield raw[start:stop].view(dtype).reshape(shape)
        start = stop + -stop % _ALIGNMENT


def _store(key: CacheKey, data: EmotionData) -> None:
    """Write an entry beside its place, move it there, and remove what it replaces.

    Raises:
        OSError: The folder cannot be written, or is full.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{key.filename}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            _write(file, key, data)
        os.replace(temporary, folder / key.filename)  # noqa: PTH105  as documented to be atomic
    finally:
        temporary.unlink(missing_ok=True)
    _remove_replaced(folder, key)


def _write(file: BinaryIO, key: CacheKey, data: EmotionData) -> None:
    checksum = hashlib.sha256()
    file.write(b"0" * _CHECKSUM_SIZE)
    for part in _parts(key, data):
        checksum.update(part)
        file.write(part)
    file.seek(0)
    file.write(checksum.hexdigest().encode())


def _parts(key: CacheKey, data: EmotionData) -> Iterator[bytes | memoryview]:
    """Yield an entry from behind its checksum on: length of the header, header, arrays, each one aligned."""
    given = [data.images, data.targets, data.split, *([] if data.votes is None else [data.votes])]
    arrays = [np.ascontiguousarray(part) for part in given]
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


def _remove_replaced(folder: Path, key: CacheKey) -> None:
    """Remove the source's entries in other states, and what killed processes have left."""
    stale = [path for path in folder.glob(f"{_short_hash(key.source)}-*.fer") if path.name != key.filename]
    for path in [*stale, *filter(_is_abandoned, folder.glob("*.tmp"))]:
        path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except FileNotFoundError:
        return False
