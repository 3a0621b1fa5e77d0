"""Pictures on disk: how one is decoded, and a set of them that is decoded when it is asked for."""

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from typing import overload

import cv2
import numpy as np

from fer.data.file_list import ABSENT, FileList
from fer.errors import FerError
from fer.picture import open_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff")
_HEADER = 4096  # bytes in which a PNG file names its transparent colours, if it has such
_PNG_WITH_ALPHA = (4, 6)  # colour types: gray and RGB with opacity
_WEBP_ALPHA = 0x10
_PORTION = 256  # pictures a thread decodes at a time
_NAMED = 3  # of many unreadable files
_ADVICE = "Replace or remove them, or go on without them: datamodule.skip_corrupt=true"

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our message names the damaged file


def decode(content: np.ndarray, size: int, color: bool, box: np.ndarray | None = None) -> np.ndarray | None:
    """Decode a picture of any size: the largest centred square of it, resized.

    A picture that is wider than high loses as much on the left as on the right, one that is higher than wide
    as much above as below. Shrinking averages areas (``INTER_AREA``), enlarging is bilinear. The orientation
    that a camera notes down is applied. Transparent PNG, WebP and TIFF pictures are laid over white, as where
    a model is used.

    Args:
        content: The file's bytes, uint8 ``(n,)``: PNG, JPEG, WebP, BMP or TIFF, 8 or 16 bits, gray or colour.
        size: Side of the result in pixels.
        color: RGB, else gray.
        box: int ``(4,)``, left, top, width and height of the part to take in pixels; None, or one without
            area, takes the whole picture.

    Returns:
        uint8 ``(size, size, C)`` with C 3 or 1; None where the bytes are no picture or not a whole one.
    """
    try:
        picture = _opaque(content, color) if _may_be_transparent(content) else None
        if picture is None:
            picture = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # empty
        return None
    if picture is None:
        return None
    square = _centre_square(picture if box is None else _part(picture, box))
    shrinks = len(square) > size
    square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return square.reshape(size, size, 3 if color else 1)


def _may_be_transparent(content: np.ndarray) -> bool:
    """Whether the header of a PNG or WebP file speaks of opacity; a TIFF file has no header to ask."""
    head = content[:_HEADER].tobytes()
    if head.startswith(b"\x89PNG") and len(head) > 25:
        return head[25] in _PNG_WITH_ALPHA or b"tRNS" in head
    if head[8:12] == b"WEBP" and len(head) > 20:
        return head[12:16] == b"VP8L" or (head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ALPHA))
    return head.startswith((b"II*\0", b"MM\0*"))


def _opaque(content: np.ndarray, color: bool) -> np.ndarray | None:
    """Return a picture laid over white, RGB or gray, as where a model is used; None: it has no opacity."""
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        return None
    try:
        opaque = open_picture(content.tobytes())
    except FerError:
        return None
    return opaque if color else cv2.cvtColor(opaque, cv2.COLOR_RGB2GRAY)


def _part(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    left, top = box[:2].clip(0)
    right, bottom = (box[:2] + box[2:]).clip(0)
    part = picture[top:bottom, left:right]
    return part if part.size else picture


def _centre_square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


@dataclass(frozen=True)
class ImageFiles:
    """A set of pictures on disk that looks like their array, and decodes what is asked for.

    Attributes:
        files: The files.
        size: Side at which pictures are given, in pixels.
        color: RGB, else gray.
        boxes: int64 ``(N, 4)``, the part of each picture to take (see `decode`), or None.
        skip_corrupt: Go on without files that cannot be read as pictures.
    """

    files: FileList
    size: int
    color: bool
    boxes: np.ndarray | None = None
    skip_corrupt: bool = False

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return ``(N, S, S, C)``."""
        return len(self), self.size, self.size, 3 if self.color else 1

    @property
    def nbytes(self) -> int:
        """Return the bytes that all of them take, decoded."""
        return int(np.prod(self.shape, dtype=np.int64))

    @overload
    def __getitem__(self, rows: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray: ...
    def __getitem__(self, rows: int | np.ndarray | slice) -> np.ndarray:
        """Return decoded pictures, uint8 ``(n, S, S, C)`` or of one row ``(S, S, C)``.

        Raises:
            FerError: Some cannot be decoded; the message names them.
        """
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        chosen = np.arange(len(self))[rows]
        pixels, readable = self.read(chosen)
        if not readable.all():
            raise FerError(f"{self._complaint(chosen[~readable])} {_ADVICE}")
        return pixels

    def read(self, rows: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Decode pictures and leave out those that cannot be.

        Args:
            rows: int ``(n,)``.
            threads: That decode; OpenCV lets go of Python's lock meanwhile.

        Returns:
            uint8 ``(m, S, S, C)`` of the readable ones, and which of ``rows`` are, bool ``(n,)``.
        """
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                pictures = list(pool.map(self.read_one, rows))
        else:
            pictures = [self.read_one(row) for row in rows]
        readable = np.array([picture is not None for picture in pictures], dtype=bool)
        whole = [picture for picture in pictures if picture is not None]
        return np.stack(whole) if whole else np.empty((0, *self.shape[1:]), np.uint8), readable

    def read_one(self, row: int) -> np.ndarray | None:
        """Return a picture ``(S, S, C)``; None where it cannot be decoded."""
        if self.files.sizes[row] <= 0:
            return None
        try:
            with FileIO(self.files.path(row)) as file:  # NumPy's own reading takes half as long again
                content = np.frombuffer(file.readall(), np.uint8)
        except OSError:
            return None
        return decode(content, self.size, self.color, None if self.boxes is None else self.boxes[row])

    def read_all(self) -> tuple[np.ndarray, np.ndarray]:
        """Decode all pictures, on all processors.

        Returns:
            uint8 ``(N, S, S, C)``, and which of them could be decoded, bool ``(N,)``; others are undefined.
        """
        pixels, readable = np.empty(self.shape, np.uint8), np.zeros(len(self), bool)

        def fill(rows: range) -> None:
            for row in rows:
                if (picture := self.read_one(row)) is not None:
                    pixels[row], readable[row] = picture, True

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, self._portions()))
        return pixels, readable

    def _portions(self) -> Iterator[range]:
        for start in range(0, len(self), _PORTION):
            yield range(start, min(start + _PORTION, len(self)))

    def subset(self, rows: np.ndarray) -> "ImageFiles":
        """Return the pictures at positions ``(n,)``, or where a mask ``(N,)`` is true; none is decoded."""
        boxes = None if self.boxes is None else self.boxes[rows]
        return replace(self, files=self.files.subset(rows), boxes=boxes)

    def fingerprint(self) -> str:
        """Return a hash of all that the pixels depend on, files by name, size and time; none is opened."""
        files = self.files
        checksum = hashlib.sha256(f"{self.size} {self.color} {files.names.dtype}".encode())
        for part in (files.names, files.sizes, files.times, self.boxes):
            checksum.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return checksum.hexdigest()

    def suspects(self) -> np.ndarray:
        """Return the positions of files that are absent, empty or not named like pictures, int64 ``(n,)``."""
        lower = np.char.lower(self.files.names)
        named = np.logical_or.reduce([np.char.endswith(lower, suffix.encode()) for suffix in SUFFIXES])
        return np.flatnonzero((self.files.sizes <= 0) | ~named)

    def give_up(self, rows: np.ndarray, all_of_it: bool) -> None:
        """Say that these files cannot be read, in a warning where training can go on without them.

        Raises:
            FerError: They may not be skipped, or they are all that was asked for.
        """
        complaint = self._complaint(rows)
        if not self.skip_corrupt:
            raise FerError(f"{complaint} {_ADVICE}")
        if all_of_it:
            raise FerError(f"{complaint} Nothing is left to go on with.")
        warnings.warn(f"{complaint} Going on without them.", stacklevel=2)

    def _complaint(self, rows: np.ndarray) -> str:
        """Return how many files cannot be read, and which are the first."""
        named = ", ".join(f"{self.files.name(row)} ({self._reason(row)})" for row in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        count = f"{len(rows):,} of {len(self):,} files"
        return f"{self.files.root}: {count} cannot be read as pictures: {named}{more}."

    def _reason(self, row: int) -> str:
        return {ABSENT: "no such file", 0: "empty"}.get(int(self.files.sizes[row]), "damaged, or no picture")
