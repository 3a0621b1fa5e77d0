"""Lists of files: found without opening any, held as arrays, compared by name, size and content."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.errors import FerError

_JUNK = {b"thumbs.db", b"desktop.ini", b"__macosx"}  # left behind by Windows and macOS
# Reading every file at each start takes seconds up to here, minutes beyond.
_FEW, _SMALL = 100_000, 2 << 30  # files, bytes in all
_START = 4096  # bytes of a file that are read beyond: a third of a second for 20,000 files
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # on Windows lines would be translated
ABSENT = -1  # the size of a file that is not there


@dataclass(frozen=True)
class FileList:
    """Files below a folder, in arrays: workers forked off share these, where they would copy Python strings.

    Attributes:
        root: The folder.
        names: Bytes ``(N,)``, paths from the root, with ``/`` between folders.
        sizes: int64 ``(N,)``, bytes; `ABSENT` where there is no such file.
        times: int64 ``(N,)``, times of the last change in nanoseconds.
    """

    root: Path
    names: np.ndarray
    sizes: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def name(self, row: int) -> str:
        """Return the path of a file from the root."""
        return os.fsdecode(bytes(self.names[row]))

    def path(self, row: int) -> str:
        """Return the path of a file."""
        return f"{self.root}/{self.name(row)}"

    def subset(self, rows: np.ndarray) -> "FileList":
        """Return the files at these positions ``(n,)``, or where a mask ``(N,)`` is true."""
        return FileList(self.root, self.names[rows], self.sizes[rows], self.times[rows])

    def find(self, names: Sequence[bytes]) -> "FileList":
        """Return the files of these names, in their order; those that are not there have size `ABSENT`."""
        wanted = np.array(names, dtype=np.bytes_)
        order = np.argsort(self.names)
        places = np.searchsorted(self.names, wanted, sorter=order).clip(max=max(0, len(self) - 1))
        rows = order[places] if len(self) else np.zeros(len(wanted), np.int64)
        there = self.names[rows] == wanted if len(self) else np.zeros(len(wanted), bool)
        sizes, times = np.full(len(wanted), ABSENT, np.int64), np.zeros(len(wanted), np.int64)
        sizes[there], times[there] = self.sizes[rows[there]], self.times[rows[there]]
        return FileList(self.root, wanted, sizes, times)

    def sha256(self, rows: np.ndarray) -> str:
        """Return a hash over names and sizes, in the order of ``rows``; no file is opened."""
        lines = (b"%s %d\n" % (self.names[row], self.sizes[row]) for row in rows)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    def contents(self, rows: np.ndarray) -> Iterator[bytes]:
        """Yield for each file what is equal for copies of it: a hash of its bytes.

        Beyond 100,000 files or 2 GiB, where reading them all would hold up each start, it is the size and a
        hash of the first 4 KiB. Now and then that is equal for files that are no copies, and keeps them
        together needlessly; never the other way.
        """
        is_much = len(rows) > _FEW or self.sizes[rows].sum() > _SMALL
        root = os.fsencode(self.root) + b"/"
        for name, size in zip(self.names[rows].tolist(), self.sizes[rows].tolist(), strict=True):
            try:
                read = _start_of(root + name) if is_much else Path(os.fsdecode(root + name)).read_bytes()
            except OSError:  # whoever decodes it will say so
                yield name
            else:
                yield (b"%d " % size if is_much else b"") + hashlib.sha256(read).digest()


def _start_of(path: bytes) -> bytes:
    """Return the first bytes of a file, in half the time that a file object takes."""
    file = os.open(path, _READ)
    try:
        return os.read(file, _START)
    finally:
        os.close(file)


def scan(root: Path, folder: str) -> FileList:
    """List the files in a folder of ``root`` and below it, sorted by name; hidden files are passed over.

    Raises:
        FerError: A folder cannot be read.
    """
    found = list(_walk(root, folder))
    names = np.array([name for name, _, _ in found], dtype=np.bytes_)
    numbers = np.array([row[1:] for row in found], dtype=np.int64).reshape(-1, 2)
    order = np.argsort(names, kind="stable")
    return FileList(root, names[order], numbers[order, 0], numbers[order, 1])


def join(lists: Sequence[FileList]) -> FileList:
    """Return the files of several lists of the same root, one list after the other."""
    names, sizes, times = (
        np.concatenate([getattr(part, field) for part in lists]) for field in ("names", "sizes", "times")
    )
    return FileList(lists[0].root, names, sizes, times)


def _walk(root: Path, folder: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, size and time of each file; whether it is one, the folder itself says."""
    pending = [os.fsencode(folder)]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(os.path.join(os.fsencode(root), prefix)) as entries:  # noqa: PTH118 - of bytes
                for entry in entries:
                    if entry.name.startswith(b".") or entry.name.lower() in _JUNK:
                        continue
                    name = b"%s/%s" % (prefix, entry.name)
                    if entry.is_dir():
                        pending.append(name)
                    else:
                        yield name, *_status(entry)
        except OSError as error:
            raise FerError(f"{root / folder}: this folder cannot be read: {error.strerror}.") from None


def _status(entry: os.DirEntry[bytes]) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere
        return ABSENT, 0
    return status.st_size, status.st_mtime_ns


def subfolders(folder: Path, expected: str) -> list[str]:
    """Return the sorted names of a folder's folders; hidden ones are passed over.

    Args:
        folder: The folder.
        expected: What it should be, for messages.

    Raises:
        FerError: No such folder, a file, or unreadable.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{folder}: expected {expected}, but it cannot be read: {reason}.") from None
    return sorted(
        name for name in names if not name.startswith(".") and os.fsencode(name.lower()) not in _JUNK
    )
