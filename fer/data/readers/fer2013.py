"""Read FER2013's CSV file in either of its two layouts, at close to the speed of the disk.

``fer2013.csv`` (``emotion,pixels,Usage``) comes from the 2013 Kaggle archive, ``icml_face_data.csv``
(``emotion, Usage, pixels``, with spaces in the header) from its second release. The rows are the same. See
Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414.

A row holds 48 x 48 gray values as text: 2304 numbers separated by spaces; the file has 75 million of them.
The fast path parses blocks of rows, small enough for the processor's cache, with array operations. A block
with anything unusual goes to the strict row-by-row parser, which returns the values or raises an error that
names the line.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import FER7, LabelSpace
from fer.core.paths import expand_user
from fer.data.dataset import EmotionData
from fer.data.readers.label_names import label_space
from fer.data.readers.text_files import open_text

# Version of the output of this reader. Increase it to invalidate older caches.
VERSION = 1
USAGES = ("Training", "PublicTest", "PrivateTest")
_EXPECTED = "a FER2013 CSV file (columns emotion, pixels, Usage)"
_ROLES = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
_SPLITS = {usage.encode(): i for i, usage in enumerate(USAGES)}
_SIDE = 48
_PIXELS = _SIDE * _SIDE
# 270 kB of text, so that the arrays made from a block stay in the second-level cache.
_BLOCK_ROWS = 32
# A row is below 10 kB. The limit stops an endless line before it fills the memory.
_MAX_LINE = 1 << 20
# Added before the first number, so that three characters to its left can be read as for any other.
_PAD = b"   "
_ZERO = np.uint8(ord("0"))
_FIX_LINE = "Correct or delete the line, or download the file again."
_FIX_HEADER = "Use the original file, or fix the header."
_OTHER_LABELS = "If the file has other emotions, name them from 0 on: datamodule.labels=[angry,disgust,…]."
_TRUNCATED = "The file looks truncated. Download it again."


class _Columns(NamedTuple):
    """Positions of the columns, counted from 0, the number of all columns, and label -> class number."""

    emotion: int
    pixels: int
    usage: int
    total: int
    space: LabelSpace
    labels: dict[bytes, int]


class _Block(NamedTuple):
    images: np.ndarray  # uint8 (n, _PIXELS)
    targets: np.ndarray  # int64 (n,)
    split: np.ndarray  # uint8 (n,)


def read_fer2013(path: str | Path, labels: Sequence[str] | None = None) -> EmotionData:
    """Read ``fer2013.csv``, ``icml_face_data.csv``, or another file with the same columns.

    The header gives the order of the columns.

    Training becomes the role train, PublicTest val, PrivateTest test. Each of them may be missing.

    Args:
        path: The file.
        labels: The emotions of the numbers in the column ``emotion``, from 0 on; None: those of FER2013.

    Returns:
        Images uint8 ``(N, 48, 48, 1)`` in the order of the file, with all labels.

    Raises:
        FerError: The file is missing, is not a FER2013 file, is damaged, or ``labels`` are not emotions.
            The message names the line, the expected and the actual content, and what to do.
    """
    path = expand_user(path)
    space = FER7 if labels is None else label_space((), labels)
    _keep_freed_memory()
    with open_text(path, _EXPECTED) as file:
        columns = _parse_header(path, file.readline(_MAX_LINE), space)
        blocks = [
            _parse_fast([line for line in lines if not line.isspace()], columns)
            or _parse_strictly(path, number, lines, columns)
            for number, lines in _read_lines(file)
        ]
    if not any(len(block.targets) for block in blocks):
        raise FerError(f"{path}, line 2: expected rows of images, got none. Download the file again.")
    images, targets, split = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    roles = {role: usage for role, usage in _ROLES.items() if USAGES.index(usage) in split}
    return EmotionData(
        images=images.reshape(-1, _SIDE, _SIDE, 1),
        targets=targets,
        split=split,
        split_names=USAGES,
        roles=roles,
        labels=space,
        source=str(path.resolve()),
    )


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory by freeing one large, untouched array.

    Without this, glibc returns the memory of each block to the system and requests it again, 370,000 pages in
    all, which takes a third of the total time. On other platforms the call has no effect.
    """
    np.empty(24 << 20, dtype=np.uint8)


def _read_lines(file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Yield blocks of lines with the number of their first line, counted from 1; the header is line 1."""
    lines = iter(partial(file.readline, _MAX_LINE), b"")
    number = 2
    while block := list(islice(lines, _BLOCK_ROWS)):
        yield number, block
        number += len(block)


def split_fields(line: bytes) -> list[bytes]:
    """Return the fields of a CSV line without surrounding spaces and quotes.

    No column of FER2013 can contain a comma or a line break, so commas inside quotes need no handling.
    """
    fields = [field.strip() for field in line.split(b",")]
    if b'"' not in line:
        return fields
    return [field[1:-1].strip() if re.fullmatch(b'".*"', field, re.DOTALL) else field for field in fields]


def _parse_header(path: Path, line: bytes, space: LabelSpace) -> _Columns:
    """Return the positions of the columns. Spaces, quotes, case and additional columns are ignored.

    Raises:
        FerError: A column is missing or occurs more than once.
    """
    names = [_to_text(field).lower() for field in split_fields(line)]
    for column in ("emotion", "pixels", "usage"):
        if names.count(column) != 1:
            problem = "is missing" if column not in names else "occurs more than once"
            is_list = "pixels" not in names
            advice = (
                "If it is a list of image files: datamodule=folder with its path." if is_list else _FIX_HEADER
            )
            raise FerError(
                f"{path}, line 1: expected the columns emotion, pixels and Usage, got {_quote(line)}: "
                f"{column} {problem}. {advice}"
            )
    emotion, pixels, usage = (names.index(column) for column in ("emotion", "pixels", "usage"))
    labels = {str(number).encode(): number for number in range(len(space))}
    return _Columns(emotion, pixels, usage, len(names), space, labels)


def _block(images: object, targets: list[int], split: list[int]) -> _Block:
    pixels = np.asarray(images, dtype=np.uint8).reshape(-1, _PIXELS)
    return _Block(pixels, np.array(targets, dtype=np.int64), np.array(split, dtype=np.uint8))


def _parse_fast(lines: list[bytes], columns: _Columns) -> _Block | None:
    """Return the values of a block, or None if any of its lines is unusual."""
    rows = [split_fields(line) for line in lines]
    if not rows or any(len(row) != columns.total for row in rows):
        return None
    targets = [columns.labels.get(row[columns.emotion], -1) for row in rows]
    split = [_SPLITS.get(row[columns.usage], -1) for row in rows]
    if min(targets) < 0 or min(split) < 0:
        return None
    images = _parse_pixels([row[columns.pixels] for row in rows])
    return None if images is None else _block(images, targets, split)


def _parse_pixels(texts: list[bytes]) -> np.ndarray | None:
    """Return the numbers in rows of text, uint8 ``(len(texts) * _PIXELS,)``; None if any is unusual.

    All arrays are as long as the text: every character is processed, and the positions where a number ends
    are selected last. Selecting them first is slower, because their indices take eight bytes each.
    """
    text = np.frombuffer(_PAD + b" ".join(texts) + b" ", dtype=np.uint8)
    # A space gives 240. Every other character that is not a digit also gives more than 9.
    digits = text - _ZERO
    is_digit = digits < 10
    if np.count_nonzero(is_digit) + np.count_nonzero(text == ord(" ")) != len(text):
        return None
    ends = is_digit[3:-1] > is_digit[4:]
    if not _rows_are_complete(texts, ends):
        return None
    values = _combine_digits(digits * is_digit, is_digit, ends)
    return None if values is None else values.compress(ends)


def _rows_are_complete(texts: list[bytes], ends: np.ndarray) -> bool:
    """Return whether each row, not just the block as a whole, has `_PIXELS` numbers."""
    bounds = pairwise(accumulate((len(text) + 1 for text in texts), initial=0))
    return all(np.count_nonzero(ends[start:stop]) == _PIXELS for start, stop in bounds)


def _combine_digits(digits: np.ndarray, is_digit: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """Return the value of each number at its last digit; None if one has over three digits or exceeds 255."""
    pairs = is_digit[1:] & is_digit[:-1]
    if (pairs[2:] & pairs[:-2]).any():
        return None
    below_hundred = digits[2:-2] * np.uint8(10) + digits[3:-1]
    hundreds = digits[1:-3] * pairs[2:-1] * ends
    if hundreds.max() > 2:
        return None
    hundreds *= np.uint8(100)
    # ~hundreds is 255 - hundreds.
    return None if (below_hundred > ~hundreds).any() else below_hundred + hundreds


def _parse_strictly(path: Path, number: int, lines: list[bytes], columns: _Columns) -> _Block:
    numbered = enumerate(lines, number)
    rows = [_parse_row(f"{path}, line {i}", line, columns) for i, line in numbered if not line.isspace()]
    return _block([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _parse_row(where: str, line: bytes, columns: _Columns) -> tuple[list[int], int, int]:
    """Return the `_PIXELS` gray values of a line, its class number, and its position in `USAGES`.

    Raises:
        FerError: The line is not a valid FER2013 row; the message starts with ``where``.
    """
    advice = _FIX_LINE if line.endswith(b"\n") else _TRUNCATED
    fields = split_fields(line)
    if len(fields) != columns.total:
        got = f"{len(fields)}: {_quote(line)}"
        raise FerError(f"{where}: expected {columns.total} columns, got {got}. {advice}")
    label, usage = fields[columns.emotion], fields[columns.usage]
    if label not in columns.labels:
        numbers = ", ".join(f"{i} {name}" for i, name in enumerate(columns.space.names))
        other = f"{_OTHER_LABELS} " if label.isdigit() else ""
        raise FerError(
            f"{where}: expected an emotion label ({numbers}), got {_quote(label)}. {other}{_FIX_LINE}"
        )
    if usage not in _SPLITS:
        hint = did_you_mean(_to_text(usage), USAGES)
        raise FerError(f"{where}: expected Usage {', '.join(USAGES)}, got {_quote(usage)}.{hint} {advice}")
    tokens = fields[columns.pixels].split()
    if len(tokens) != _PIXELS:
        raise FerError(f"{where}: expected {_PIXELS} pixel values, got {len(tokens)}. {advice}")
    for position, token in enumerate(tokens, 1):
        # More than three digits means above 255 or zero-padded; FER2013 has neither.
        if not token.isdigit() or len(token) > 3 or int(token) > 255:
            got = f"{_quote(token)} as pixel {position}"
            raise FerError(f"{where}: expected integers from 0 to 255, got {got}. {advice}")
    return [int(token) for token in tokens], columns.labels[label], _SPLITS[usage]


def _to_text(field: bytes) -> str:
    return field.decode("utf-8", errors="replace")


def _quote(field: bytes) -> str:
    """Return the start of a field for a message, in quotes, with unprintable characters escaped."""
    text = _to_text(field.strip())
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
