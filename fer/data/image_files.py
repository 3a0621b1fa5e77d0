"""Image files: decoding one, and an array-like collection of many that decodes on access."""

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from typing import overload

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.core.image_io import read_image
from fer.core.text import agree
from fer.core.threads import available_cores
from fer.data.file_list import ABSENT, FileList

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".avif")
# A PNG file declares its transparent colors within these first bytes, if it has any.
_HEADER_BYTES = 4096
# PNG color types: gray and RGB with an alpha channel.
_PNG_WITH_ALPHA = (4, 6)
_WEBP_ALPHA_FLAG, _WEBP_ANIMATION_FLAG = 0x10, 0x02
# Images that a thread decodes at a time.
_CHUNK = 256
# Unreadable files that a message names.
_MAX_NAMED = 3
_ADVICE = "Replace or remove them, or continue without them: datamodule.skip_corrupt=true"

# Our own message names the damaged file; OpenCV's does not.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(content: np.ndarray, size: int, color: bool, box: np.ndarray | None = None) -> np.ndarray | None:
    """Decode an image of any size, crop its largest centered square and resize it.

    Shrinking averages areas (``INTER_AREA``), enlarging is bilinear. The EXIF orientation is applied.
    Transparent PNG, WebP, AVIF and TIFF images are composited on white, as in prediction. Of an animation the
    first image is taken.

    Args:
        content: Bytes of the file, uint8 ``(n,)``: PNG, JPEG, WebP, AVIF, BMP or TIFF, 8 or 16 bits,
            gray or color.
        size: Side of the result, in pixels.
        color: Decode as RGB; otherwise gray.
        box: Region to crop first, int ``(4,)``: left, top, width and height in pixels. None, or a region
            without area, keeps the full image.

    Returns:
        uint8 ``(size, size, C)`` with C 3 or 1; None if the bytes are not a complete image.
    """
    try:
        image = _decode_on_white(content, color) if _may_be_transparent(content) else None
        if image is None:
            image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        # OpenCV raises for an empty file and returns None for a damaged one.
        return None
    if image is None:
        return None
    square = _center_square(image if box is None else _crop_box(image, box))
    shrinks = len(square) > size
    square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return square.reshape(size, size, 3 if color else 1)


def _may_be_transparent(content: np.ndarray) -> bool:
    """Return whether a PNG or WebP header declares transparency; True for any TIFF or AVIF file."""
    head = content[:_HEADER_BYTES].tobytes()
    if head.startswith(b"\x89PNG") and len(head) > 25:
        return head[25] in _PNG_WITH_ALPHA or b"tRNS" in head
    if head[8:12] == b"WEBP" and len(head) > 20:
        return head[12:16] == b"VP8L" or (head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ALPHA_FLAG))
    return head.startswith((b"II*\0", b"MM\0*")) or head[4:12] in (b"ftypavif", b"ftypavis")


def is_animation(content: np.ndarray) -> bool:
    """Return whether the bytes ``(n,)`` of a file are an animation, by its header: GIF, PNG, WebP or AVIF."""
    head = content[:_HEADER_BYTES].tobytes()
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head.partition(b"IDAT")[0]
    if head[8:12] == b"WEBP" and len(head) > 20:
        return head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ANIMATION_FLAG)
    return (head.startswith(b"GIF8") and b"NETSCAPE2.0" in head) or head[4:12] == b"ftypavis"


def _decode_on_white(content: np.ndarray, color: bool) -> np.ndarray | None:
    """Return an image composited on white, RGB or gray, as in prediction; None if it has no alpha channel."""
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return None
    try:
        opaque = read_image(content.tobytes())
    except FerError:
        return None
    return opaque if color else cv2.cvtColor(opaque, cv2.COLOR_RGB2GRAY)


def _crop_box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the part of an image inside a box, or the image where the box has no area in it."""
    left, top = box[:2].clip(0)
    right, bottom = (box[:2] + box[2:]).clip(0)
    crop = image[top:bottom, left:right]
    return crop if crop.size else image


def _center_square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk that are indexed like an array ``(N, S, S, C)`` and decoded on access.

    Attributes:
        files: The files.
        size: Side of the decoded images, in pixels.
        color: Decode as RGB; otherwise gray.
        boxes: Region of each image to crop, int64 ``(N, 4)`` (see `decode`), or None.
        skip_corrupt: Skip unreadable files with a warning instead of raising.
    """

    files: FileList
    size: int
    color: bool
    boxes: np.ndarray | None = None
    skip_corrupt: bool = False

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return ``(N, S, S, C)``."""
        return len(self), self.size, self.size, 3 if self.color else 1

    @property
    def nbytes(self) -> int:
        """Return the bytes that all decoded images take."""
        return int(np.prod(self.shape, dtype=np.int64))

    @overload
    def __getitem__(self, rows: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray: ...
    def __getitem__(self, rows: int | np.ndarray | slice) -> np.ndarray:
        """Return decoded images, uint8 ``(n, S, S, C)``, or ``(S, S, C)`` for an integer.

        Raises:
            FerError: Some images cannot be decoded; the message names the files.
        """
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        positions = np.arange(len(self))[rows]
        pixels, readable = self.read(positions)
        if not readable.all():
            raise FerError(f"{self._unreadable_message(positions[~readable])} {_ADVICE}")
        return pixels

    def read(self, rows: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Decode images and skip unreadable ones.

        Args:
            rows: Positions, int ``(n,)``.
            threads: Number of decoding threads; OpenCV releases the GIL.

        Returns:
            The readable images, uint8 ``(m, S, S, C)``, and whether each row is readable, bool ``(n,)``.
        """
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                images = list(pool.map(self.read_one, rows))
        else:
            images = [self.read_one(row) for row in rows]
        readable = np.array([image is not None for image in images], dtype=bool)
        decoded = [image for image in images if image is not None]
        return np.stack(decoded) if decoded else np.empty((0, *self.shape[1:]), np.uint8), readable

    def read_one(self, row: int) -> np.ndarray | None:
        """Return an image ``(S, S, C)``; None if it cannot be decoded."""
        content = self._content(row)
        return None if content is None else self._decode(content, row)

    def _content(self, row: int) -> np.ndarray | None:
        if self.files.sizes[row] <= 0:
            return None
        try:
            # np.fromfile takes 50 % longer.
            with FileIO(self.files.path(row)) as file:
                return np.frombuffer(file.readall(), np.uint8)
        except OSError:
            return None

    def _decode(self, content: np.ndarray, row: int) -> np.ndarray | None:
        return decode(content, self.size, self.color, None if self.boxes is None else self.boxes[row])

    def read_all(self) -> tuple[np.ndarray, np.ndarray]:
        """Decode all images, with one thread per processor, and warn of animations.

        Returns:
            uint8 ``(N, S, S, C)``, and whether each image is readable, bool ``(N,)``; the pixels of
            unreadable images are undefined.
        """
        pixels, readable = np.empty(self.shape, np.uint8), np.zeros(len(self), bool)
        animated = np.zeros(len(self), bool)

        def fill(rows: range) -> None:
            for row in rows:
                if (content := self._content(row)) is None:
                    continue
                animated[row] = is_animation(content)
                if (image := self._decode(content, row)) is not None:
                    pixels[row], readable[row] = image, True

        with ThreadPoolExecutor(available_cores()) as pool:
            starts = range(0, len(self), _CHUNK)
            list(pool.map(fill, [range(len(self))[start : start + _CHUNK] for start in starts]))
        if (rows := np.flatnonzero(animated & readable)).size:
            named = ", ".join(self.files.name(row) for row in rows[:_MAX_NAMED])
            warnings.warn(
                f"{self.files.root}: {len(rows):,} of {len(self):,} files "
                f"{agree(len(rows), 'is an animation', 'are animations')}, of which only the first image is "
                f"used: {named}{', …' if len(rows) > _MAX_NAMED else ''}. Save the images of animations as "
                "files to use all.",
                stacklevel=2,
            )
        return pixels, readable

    def subset(self, rows: np.ndarray) -> "ImageFiles":
        """Return the images at positions ``(n,)`` or where a mask ``(N,)`` is true, without decoding."""
        boxes = None if self.boxes is None else self.boxes[rows]
        return replace(self, files=self.files.subset(rows), boxes=boxes)

    def fingerprint(self) -> str:
        """Return a hash of all that determines the pixels: names, sizes and times of files, and options."""
        files = self.files
        checksum = hashlib.sha256(f"{self.size} {self.color} {files.names.dtype}".encode())
        for array in (files.names, files.sizes, files.times, self.boxes):
            checksum.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return checksum.hexdigest()

    def suspect_rows(self) -> np.ndarray:
        """Return the positions of files that are absent, empty or without an image suffix, int64 ``(n,)``."""
        lower = np.char.lower(self.files.names)
        has_suffix = np.logical_or.reduce([np.char.endswith(lower, suffix.encode()) for suffix in SUFFIXES])
        return np.flatnonzero((self.files.sizes <= 0) | ~has_suffix)

    def report_unreadable(self, rows: np.ndarray, nothing_left: bool) -> None:
        """Warn that files are unreadable, or raise if they must not be skipped.

        Args:
            rows: Positions of the unreadable files, int ``(n,)``.
            nothing_left: Whether no other image was requested.

        Raises:
            FerError: ``skip_corrupt`` is false, or ``nothing_left`` is true.
        """
        message = self._unreadable_message(rows)
        if not self.skip_corrupt:
            raise FerError(f"{message} {_ADVICE}")
        if nothing_left:
            raise FerError(f"{message} No readable image is left.")
        warnings.warn(f"{message} Continuing without them.", stacklevel=2)

    def _unreadable_message(self, rows: np.ndarray) -> str:
        """Return a message with the number of unreadable files and the names of the first ones."""
        named = ", ".join(f"{self.files.name(row)} ({self._reason(row)})" for row in rows[:_MAX_NAMED])
        more = f" and {len(rows) - _MAX_NAMED:,} more" if len(rows) > _MAX_NAMED else ""
        count = f"{len(rows):,} of {len(self):,} files"
        return f"{self.files.root}: {count} cannot be read as images: {named}{more}."

    def _reason(self, row: int) -> str:
        return {ABSENT: "no such file", 0: "empty"}.get(
            int(self.files.sizes[row]), "damaged, or not an image"
        )
