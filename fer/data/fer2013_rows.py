"""Strict row-by-row parser of FER2013's CSV file: returns the values of a row, or raises the error in it."""

from pathlib import Path
from typing import NamedTuple

from fer.errors import FerError, did_you_mean
from fer.labels import FER7

SIDE = 48
PIXELS = SIDE * SIDE
USAGES = ("Training", "PublicTest", "PrivateTest")

_FIX_LINE = "Correct or delete the line, or download the file again."
_TRUNCATED = "The file looks truncated. Download it again."


class Columns(NamedTuple):
    """Positions of the columns, counted from 0, and the number of all columns."""

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

    No column of FER2013 can contain a comma or a line break, so commas inside quotes need no handling.
    """
    fields = [field.strip() for field in line.split(b",")]
    return [_unquote(field) for field in fields] if b'"' in line else fields


def _unquote(field: bytes) -> bytes:
    is_quoted = len(field) >= 2 and field.startswith(b'"') and field.endswith(b'"')
    return field[1:-1].strip() if is_quoted else field


def parse_header(path: Path, line: bytes) -> Columns:
    """Return the positions of the columns. Blanks, quotes, case and additional columns are ignored.

    Raises:
        FerError: A column is missing or occurs more than once.
    """
    names = [_to_text(field).lower() for field in split_fields(line)]
    for column in ("emotion", "pixels", "usage"):
        if names.count(column) != 1:
            problem = "is missing" if column not in names else "occurs more than once"
            raise FerError(
                f"{path}, line 1: expected the columns emotion, pixels and Usage, got {_quote(line)}: "
                f"{column} {problem}. Use the original file, or fix the header."
            )
    return Columns(names.index("emotion"), names.index("pixels"), names.index("usage"), len(names))


def parse_row(path: Path, number: int, line: bytes, columns: Columns) -> Row:
    """Return the values of a line.

    Raises:
        FerError: The line is not a valid FER2013 row; ``number`` is the line number in the message.
    """
    where = f"{path}, line {number}"
    advice = _FIX_LINE if line.endswith(b"\n") else _TRUNCATED
    fields = split_fields(line)
    if len(fields) != columns.total:
        got = f"{len(fields)}: {_quote(line)}"
        raise FerError(f"{where}: expected {columns.total} columns, got {got}. {advice}")
    target = _parse_label(where, fields[columns.emotion])
    split = _parse_usage(where, fields[columns.usage], advice)
    return Row(_parse_pixels(where, fields[columns.pixels], advice), target, split)


def _parse_label(where: str, field: bytes) -> int:
    if field.isdigit() and len(field) == 1 and int(field) < len(FER7):
        return int(field)
    numbers = ", ".join(f"{i} {name}" for i, name in enumerate(FER7.names))
    raise FerError(f"{where}: expected an emotion label ({numbers}), got {_quote(field)}. {_FIX_LINE}")


def _parse_usage(where: str, field: bytes, advice: str) -> int:
    usage = _to_text(field)
    if usage in USAGES:
        return USAGES.index(usage)
    hint = did_you_mean(usage, USAGES)
    raise FerError(f"{where}: expected Usage {', '.join(USAGES)}, got {_quote(field)}.{hint} {advice}")


def _parse_pixels(where: str, field: bytes, advice: str) -> list[int]:
    tokens = field.split()
    if len(tokens) != PIXELS:
        raise FerError(f"{where}: expected {PIXELS} pixel values, got {len(tokens)}. {advice}")
    for position, token in enumerate(tokens, 1):
        # More than three digits means above 255 or zero-padded; FER2013 has neither.
        if not token.isdigit() or len(token) > 3 or int(token) > 255:
            got = f"{_quote(token)} as pixel {position}"
            raise FerError(f"{where}: expected integers from 0 to 255, got {got}. {advice}")
    return [int(token) for token in tokens]


def _to_text(field: bytes) -> str:
    return field.decode("utf-8", errors="replace")


def _quote(field: bytes) -> str:
    """Return the start of a field for a message, in quotes, with unprintable characters escaped."""
    text = _to_text(field.strip())
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
