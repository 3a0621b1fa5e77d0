"""The time line of a film: a row a face and frame, written as they come."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from fer.errors import FerError

SUFFIXES = (".jsonl", ".csv")
_BOX = ("left", "top", "width", "height")
_HEAD = ("frame", "seconds", "face", *_BOX, "label", "confidence", "uncertain")


@dataclass(frozen=True)
class Row:
    """What was seen of one face in one frame.

    Attributes:
        frame: Counted from 0.
        seconds: Since the beginning.
        face: Number that stays with the face.
        box: Left, top, width, height in pixels.
        label: The likeliest emotion.
        confidence: Its probability.
        uncertain: Whether that is too low to go by.
        probabilities: Of each emotion; they sum to 1.
    """

    frame: int
    seconds: float
    face: int
    box: tuple[float, float, float, float]
    label: str
    confidence: float
    uncertain: bool
    probabilities: dict[str, float]


class Timeline:
    """A JSONL or CSV file (by its suffix) of `Row`\\ s. Every frame is on disk before the next is looked at.

    Args:
        path: Where to; an earlier file there is replaced.
        emotions: In the order of the columns of a CSV file.

    Raises:
        FerError: The suffix is neither, or the file cannot be written.
    """

    def __init__(self, path: str | Path, emotions: Sequence[str]) -> None:
        self.path = Path(path)
        self._emotions = list(emotions)
        self._csv = check_suffix(self.path) == ".csv"
        try:
            self._file: TextIO = self.path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise FerError(
                f"{self.path}: cannot be written ({error.strerror}). Choose another place."
            ) from error
        if self._csv:
            self._put(csv_head(self._emotions))

    def write(self, rows: Sequence[Row]) -> None:
        """Add the faces of a frame.

        Raises:
            FerError: The disk is full; what was written before is kept.
        """
        if self._csv:
            self._put(csv_lines(rows, self._emotions))
        else:
            self._put("".join(json.dumps(_plain(row), ensure_ascii=False) + "\n" for row in rows))

    def _put(self, text: str) -> None:
        if not text:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise FerError(
                f"{self.path}: cannot be written on ({error.strerror}). The rows before are kept; "
                "free some space."
            ) from error

    def close(self) -> None:
        """Close the file. All was written by then, or its failure told."""
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> "Timeline":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, whatever happened."""
        self.close()


def check_suffix(path: Path) -> str:
    """Return the suffix of a time line, in lower case.

    Raises:
        FerError: It is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FerError(
            f"{path}: expected a time line named .jsonl or .csv, got {path.suffix or 'no suffix'!r}."
        )
    return path.suffix.lower()


def read_timeline(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a time line that `Timeline` wrote, one at a time.

    Raises:
        FerError: There is no such file, or a line is none of a time line.
    """
    path = Path(path)
    parse = _from_csv if check_suffix(path) == ".csv" else _from_jsonl
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from parse(file)
    except OSError as error:
        raise FerError(f"{path}: expected a time line, cannot read it ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FerError(
            f"{path}: expected a time line in UTF-8, but it is damaged or of another kind ({error}). "
            "Write it again."
        ) from error
    except _BadLineError as error:
        raise FerError(
            f"{path}, line {error.args[0]}: expected a row of a time line, got one that does not fit "
            f"({error.__cause__}). It looks cut off or edited; remove the line."
        ) from error


class _BadLineError(Exception):
    """The line of this number does not fit."""


def _from_jsonl(file: TextIO) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        try:
            content = json.loads(line)
            yield Row(**content | {"box": _box(content["box"])})
        except (ValueError, TypeError, KeyError) as error:
            raise _BadLineError(number) from error


def _from_csv(file: TextIO) -> Iterator[Row]:
    for number, cells in enumerate(csv.DictReader(file, strict=True), 2):
        try:
            yield _from_cells(cells)
        except (ValueError, TypeError, KeyError) as error:
            raise _BadLineError(number) from error


def _from_cells(cells: dict[str, str]) -> Row:
    emotions = [name for name in cells if name not in _HEAD]
    return Row(
        int(cells["frame"]),
        float(cells["seconds"]),
        int(cells["face"]),
        _box([float(cells[side]) for side in _BOX]),
        cells["label"],
        float(cells["confidence"]),
        {"true": True, "false": False}[cells["uncertain"]],
        {emotion: float(cells[emotion]) for emotion in emotions},
    )


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, width, height = values
    return left, top, width, height


def _plain(row: Row) -> dict[str, Any]:
    """Return the values of a row: seconds to a thousandth, pixels to a tenth, shares to a millionth."""
    return {
        "frame": row.frame,
        "seconds": round(row.seconds, 3),
        "face": row.face,
        "box": [round(float(value), 1) for value in row.box],
        "label": row.label,
        "confidence": round(float(row.confidence), 6),
        "uncertain": bool(row.uncertain),
        "probabilities": {name: round(float(share), 6) for name, share in row.probabilities.items()},
    }


def csv_head(emotions: Sequence[str]) -> str:
    """Return the first line of a time line as CSV."""
    return _to_csv([[*_HEAD, *emotions]])


def csv_lines(rows: Sequence[Row], emotions: Sequence[str]) -> str:
    """Return a line of CSV for each row, the probabilities in the order of these emotions."""
    return _to_csv([_cells(row, emotions) for row in rows])


def _cells(row: Row, emotions: Sequence[str]) -> list[Any]:
    plain = _plain(row)
    shares = [plain["probabilities"][emotion] for emotion in emotions]
    uncertain = str(row.uncertain).lower()
    head = [row.frame, plain["seconds"], row.face, *plain["box"], row.label, plain["confidence"], uncertain]
    return [*head, *shares]


def _to_csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
