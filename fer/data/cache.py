"""Memory-mapped cache of datasets: a source is parsed once, later runs map the file.

An entry is one file: arrays in NumPy's format (images, targets, splits, votes, and JSON as bytes), then the
SHA-256 of it all. It is written to a temporary file in the same folder and renamed atomically. A reader
therefore sees a complete file or none, and several processes may start at the same time. The checksum is
verified before anything else is read, and nothing is pickled.
"""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import from_dict, to_dict
from fer.core.paths import atomic_write, cache_folder, expand_user
from fer.data.dataset import EmotionData

_FORMAT = 3
# Bytes.
_CHECKSUM_SIZE = 32
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


def cached_array(
    name: str, shape: tuple[int, ...], compute: Callable[[], np.ndarray], option: str, finite: bool = False
) -> np.ndarray:
    """Return a stored array, or compute and store it; a warning if it cannot be stored.

    Args:
        name: Name of its file, which identifies what it is computed from.
        shape: Its shape; a stored array of another one is computed again.
        compute: Returns the array, float32.
        option: The option that it is for, for the warning.
        finite: Whether a stored array with NaN or infinity is damaged.
    """
    path = cache_folder() / name
    try:
        stored: np.ndarray = np.load(path)
        if stored.shape == shape and stored.dtype == np.float32 and (not finite or np.isfinite(stored).all()):
            return stored
    except (OSError, ValueError, EOFError):
        # There is none, or it is damaged.
        pass
    computed = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.save(file, computed)
    except OSError as error:
        print(f"WARNING: {option}: the result was not stored for later runs: {error}.")
    return computed


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _load(key: CacheKey) -> EmotionData | None:
    """Return the data of an entry; None if it is missing, incomplete or has another key."""
    try:
        path = cache_folder() / key.filename
        raw = np.memmap(path, dtype=np.uint8, mode="r")
        if hashlib.sha256(raw[:-_CHECKSUM_SIZE].data).digest() != raw[-_CHECKSUM_SIZE:].tobytes():
            return None
        images = np.load(path, mmap_mode="r")
        with path.open("rb") as file:
            file.seek(images.offset + images.nbytes)
            targets, split, votes, header = (np.load(file) for _ in range(4))
        fields = json.loads(header.tobytes())
    except (OSError, RuntimeError, ValueError, AttributeError):
        # Whatever is wrong with the file, the entry is rebuilt.
        return None
    if fields.pop("key") != [_FORMAT, key.source, key.state]:
        return None
    fields |= {"split_names": tuple(fields["split_names"]), "labels": from_dict(fields["labels"])}
    return EmotionData(images, targets, split, votes=votes if len(votes) else None, **fields)


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


def _write(file: BufferedRandom, key: CacheKey, data: EmotionData) -> None:
    header = {name: getattr(data, name) for name in ("split_names", "roles", "source", "dropped")}
    header |= {"labels": to_dict(data.labels), "key": [_FORMAT, key.source, key.state]}
    votes = np.empty(0) if data.votes is None else data.votes
    content = np.frombuffer(json.dumps(header).encode(), np.uint8)
    for array in (data.images, data.targets, data.split, votes, content):
        np.save(file, np.ascontiguousarray(array))
    file.seek(0)
    file.write(hashlib.file_digest(file, "sha256").digest())


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
