"""Lists of files as arrays: names, sizes and times, listed without opening the files."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.core.errors import FerError

# Files that Windows and macOS create.
_SYSTEM_FILES = {b"thumbs.db", b"desktop.ini", b"__macosx"}
# Up to these limits reading every file at each start takes seconds; beyond them, minutes.
_MAX_FULLY_READ_FILES, _MAX_FULLY_READ_BYTES = 100_000, 2 << 30
# Beyond the limits only this many bytes of each file are read, which takes 0.3 s for 20,000 files.
_HEAD_BYTES = 4096
# Without O_BINARY Windows would translate line endings.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# The size of a file that does not exist.
ABSENT = -1


@dataclass(frozen=True)
class FileList:
    """Files below a folder, as arrays, because forked workers share arrays but copy Python strings.

    Attributes:
        root: The folder.
        names: Bytes ``(N,)``, paths relative to the root, with ``/`` between folders.
        sizes: int64 ``(N,)``, bytes; `ABSENT` if the file does not exist.
        times: int64 ``(N,)``, modification times in nanoseconds.
    """

    root: Path
    names: np.ndarray
    sizes: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def name(self, row: int) -> str:
        """Return the path of a file relative to the root."""
        return os.fsdecode(bytes(self.names[row]))

    def path(self, row: int) -> str:
        """Return the path of a file, including the root."""
        return f"{self.root}/{self.name(row)}"

    def subset(self, rows: np.ndarray) -> "FileList":
        """Return the files at positions ``(n,)``, or where a mask ``(N,)`` is true."""
        return FileList(self.root, self.names[rows], self.sizes[rows], self.times[rows])

    def lookup(self, names: Sequence[bytes]) -> "FileList":
        """Return the files with these names, in that order; size `ABSENT` marks one that does not exist."""
        wanted = np.array(names, dtype=np.bytes_)
        order = np.argsort(self.names)
        positions = np.searchsorted(self.names, wanted, sorter=order).clip(max=max(0, len(self) - 1))
        rows = order[positions] if len(self) else np.zeros(len(wanted), np.int64)
        exists = self.names[rows] == wanted if len(self) else np.zeros(len(wanted), bool)
        sizes, times = np.full(len(wanted), ABSENT, np.int64), np.zeros(len(wanted), np.int64)
        sizes[exists], times[exists] = self.sizes[rows[exists]], self.times[rows[exists]]
        return FileList(self.root, wanted, sizes, times)

    def sha256(self, rows: np.ndarray) -> str:
        """Return the SHA-256 over names and sizes, in the order of ``rows``; no file is opened."""
        lines = (b"%s %d\n" % (self.names[row], self.sizes[row]) for row in rows)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    def content_hashes(self, rows: np.ndarray) -> Iterator[bytes]:
        """Yield a hash of the bytes of each file, which is equal for copies.

        Beyond 100,000 files or 2 GiB, where reading all bytes would delay each start, the result is the size
        and a hash of the first 4 KiB. It may be equal for different files, which are then kept in the same
        split without need, but never differs for copies.
        """
        too_many = len(rows) > _MAX_FULLY_READ_FILES or self.sizes[rows].sum() > _MAX_FULLY_READ_BYTES
        root = os.fsencode(self.root) + b"/"
        for name, size in zip(self.names[rows].tolist(), self.sizes[rows].tolist(), strict=True):
            try:
                content = _read_head(root + name) if too_many else Path(os.fsdecode(root + name)).read_bytes()
            except OSError:
                # The file is reported as unreadable when it is decoded.
                yield name
            else:
                yield (b"%d " % size if too_many else b"") + hashlib.sha256(content).digest()


def _read_head(path: bytes) -> bytes:
    """Return the first bytes of a file; takes half the time of a file object."""
    file = os.open(path, _OPEN_FLAGS)
    try:
        return os.read(file, _HEAD_BYTES)
    finally:
        os.close(file)


def list_files(root: Path, folder: str) -> FileList:
    """Return the files in a folder of ``root`` and its subfolders, sorted by name, without hidden files.

    Raises:
        FerError: A folder cannot be read.
    """
    entries = list(_walk(root, folder))
    names = np.array([name for name, _, _ in entries], dtype=np.bytes_)
    status = np.array([entry[1:] for entry in entries], dtype=np.int64).reshape(-1, 2)
    order = np.argsort(names, kind="stable")
    return FileList(root, names[order], status[order, 0], status[order, 1])


def _walk(root: Path, folder: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, size and modification time of each file, from the folder entries."""
    pending = [(os.fsencode(folder), frozenset[str]())]
    while pending:
        prefix, links = pending.pop()
        try:
            with os.scandir(os.path.join(os.fsencode(root), prefix)) as entries:  # noqa: PTH118 - pathlib takes no bytes
                for entry in entries:
                    if entry.name.startswith(b".") or entry.name.lower() in _SYSTEM_FILES:
                        continue
                    name = b"%s/%s" % (prefix, entry.name)
                    if not entry.is_dir():
                        yield name, *_status(entry)
                    elif not entry.is_symlink():
                        pending.append((name, links))
                    elif (target := _linked_folder(entry.path)) and target not in links:
                        pending.append((name, links | {target}))
        except OSError as error:
            raise FerError(
                f"{root / folder}: expected a folder, but it cannot be read: {error.strerror}."
            ) from None


def _linked_folder(path: bytes) -> str | None:
    """Return the folder that a link leads to; None if the link is inside it and would never end."""
    link = Path(os.fsdecode(path))
    target = link.resolve()
    return None if link.parent.resolve().is_relative_to(target) else str(target)


def _status(entry: os.DirEntry[bytes]) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:
        # A broken symbolic link.
        return ABSENT, 0
    return status.st_size, status.st_mtime_ns


def join(lists: Sequence[FileList]) -> FileList:
    """Concatenate several lists with the same root."""
    names, sizes, times = (
        np.concatenate([getattr(part, field) for part in lists]) for field in ("names", "sizes", "times")
    )
    return FileList(lists[0].root, names, sizes, times)


def subfolders(folder: Path, expected: str) -> list[str]:
    """Return the sorted names of the subfolders of a folder, without hidden ones.

    Args:
        folder: The folder.
        expected: Description of the expected folder, for messages.

    Raises:
        FerError: The folder is missing, is a file, or is unreadable.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except (OSError, ValueError) as error:
        # ValueError: the path contains a NUL character.
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{folder}: expected {expected}, but it cannot be read: {reason}.") from None
    return sorted(
        name for name in names if not name.startswith(".") and os.fsencode(name.lower()) not in _SYSTEM_FILES
    )
