"""The strict row-by-row reader of FER2013's CSV file: the values of a row, or the error that it contains."""

from pathlib import Path
from typing import NamedTuple

from fer.errors import FerError, did_you_mean
from fer.labels import FER7

SIDE = 48
PIXELS = SIDE * SIDE
USAGES = ("Training", "PublicTest", "PrivateTest")

_REPAIR = "Correct or delete the line, or download the file again."
_CUT_OFF = "The file looks cut off; download it again."


class Columns(NamedTuple):
    """Where each column is, counted from 0, and how many there are."""

    emotion: int
    pixels: int
    usage: int
    total: int


class Row(NamedTuple):
    """The values of one row: `PIXELS` gray values, a FER-7 class number, a position in `USAGES`."""

    pixels: list[int]
    target: int
    split: int


def split_fields(line: bytes) -> list[bytes]:
    """Return the fields of a CSV line without surrounding blanks and quotes.

    No column of FER2013 can contain a comma or a line end, so quotes need not be looked into.
    """
    fields = [field.strip() for field in line.split(b",")]
    return [_unquote(field) for field in fields] if b'"' in line else fields


def _unquote(field: bytes) -> bytes:
    is_quoted = len(field) >= 2 and field.startswith(b'"') and field.endswith(b'"')
    return field[1:-1].strip() if is_quoted else field


def parse_header(path: Path, line: bytes) -> Columns:
    """Return where the columns are; blanks, quotes, case and further columns in the header do not matter.

    Raises:
        FerError: A column is missing or there twice.
    """
    names = [_show(field).lower() for field in split_fields(line)]
    for column in ("emotion", "pixels", "usage"):
        if names.count(column) != 1:
            problem = "is missing" if column not in names else "is there more than once"
            raise FerError(
                f"{path}, line 1: expected the columns emotion, pixels and Usage, got {_quote(line)}: "
                f"{column} {problem}. Give the original file, or mend its header."
            )
    return Columns(names.index("emotion"), names.index("pixels"), names.index("usage"), len(names))


def parse_row(path: Path, number: int, line: bytes, columns: Columns) -> Row:
    """Return the values of a line.

    Raises:
        FerError: Anything that FER2013 cannot hold; ``number`` is the line's number in the file.
    """
    where = f"{path}, line {number}"
    remedy = _REPAIR if line.endswith(b"\n") else _CUT_OFF
    fields = split_fields(line)
    if len(fields) != columns.total:
        got = f"{len(fields)}: {_quote(line)}"
        raise FerError(f"{where}: expected {columns.total} columns, got {got}. {remedy}")
    target = _parse_label(where, fields[columns.emotion])
    split = _parse_usage(where, fields[columns.usage], remedy)
    return Row(_parse_pixels(where, fields[columns.pixels], remedy), target, split)


def _parse_label(where: str, field: bytes) -> int:
    if field.isdigit() and len(field) == 1 and int(field) < len(FER7):
        return int(field)
    numbers = ", ".join(f"{i} {name}" for i, name in enumerate(FER7.names))
    raise FerError(f"{where}: expected an emotion label ({numbers}), got {_quote(field)}. {_REPAIR}")


def _parse_usage(where: str, field: bytes, remedy: str) -> int:
    usage = _show(field)
    if usage in USAGES:
        return USAGES.index(usage)
    hint = did_you_mean(usage, USAGES)
    raise FerError(f"{where}: expected Usage {', '.join(USAGES)}, got {_quote(field)}.{hint} {remedy}")


def _parse_pixels(where: str, field: bytes, remedy: str) -> list[int]:
    tokens = field.split()
    if len(tokens) != PIXELS:
        raise FerError(f"{where}: expected {PIXELS} pixel values, got {len(tokens)}. {remedy}")
    for position, token in enumerate(tokens, 1):
        # No more than three digits: a longer number is above 255, or padded, which FER2013 never is.
        if not token.isdigit() or len(token) > 3 or int(token) > 255:
            got = f"{_quote(token)} as pixel {position}"
            raise FerError(f"{where}: expected whole numbers from 0 to 255, got {got}. {remedy}")
    return [int(token) for token in tokens]


def _show(field: bytes) -> str:
    return field.decode("utf-8", errors="replace")


def _quote(field: bytes) -> str:
    """Return the start of a field for a message, in quotes, with unprintable characters escaped."""
    text = _show(field.strip())
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
