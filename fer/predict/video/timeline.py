"""The timeline of a video, one row per face and frame: write it frame by frame as JSONL or CSV; read it."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from fer.core.errors import FerError

SUFFIXES = (".jsonl", ".csv")
_BOX_COLUMNS = ("left", "top", "width", "height")
_COLUMNS = ("frame", "seconds", "face", *_BOX_COLUMNS, "label", "confidence", "uncertain")


@dataclass(frozen=True)
class Row:
    """One face in one frame.

    Attributes:
        frame: Index of the frame, from 0.
        seconds: Time since the start.
        face: Number of the face, constant over frames.
        box: Left, top, width, height in pixels.
        label: The predicted emotion.
        confidence: Its probability.
        uncertain: Whether that is below the model's threshold.
        probabilities: Probability of each emotion; they sum to 1.
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
    """Writes `Row`\\ s to a JSONL or CSV file, depending on its suffix, and flushes after each frame.

    Args:
        path: File to write; an existing file is replaced.
        emotions: The emotions, in the order of the columns of a CSV file.

    Raises:
        FerError: The suffix is not supported, or the file cannot be written.
    """

    def __init__(self, path: str | Path, emotions: Sequence[str]) -> None:
        self.path = Path(path)
        self._emotions = list(emotions)
        self._csv = check_timeline_suffix(self.path) == ".csv"
        try:
            self._file: TextIO = self.path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise FerError(
                f"{self.path}: cannot be written ({error.strerror}). Choose another path."
            ) from error
        if self._csv:
            self._write(csv_header(self._emotions))

    def write(self, rows: Sequence[Row]) -> None:
        """Write the faces of a frame.

        Raises:
            FerError: Writing failed, e.g. because the disk is full; earlier rows are kept.
        """
        if self._csv:
            self._write(csv_lines(rows, self._emotions))
        else:
            self._write("".join(json.dumps(_json_values(row), ensure_ascii=False) + "\n" for row in rows))

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise FerError(
                f"{self.path}: writing failed ({error.strerror}). The rows written before are kept. Free "
                "some disk space."
            ) from error

    def close(self) -> None:
        """Close the file; a failed write has been reported by `write` before."""
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> "Timeline":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def check_timeline_suffix(path: Path) -> str:
    """Return the suffix of a timeline in lower case.

    Raises:
        FerError: It is not one of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FerError(
            f"{path}: expected a timeline ending in .jsonl or .csv, got {path.suffix or 'no suffix'!r}. "
            "Rename it."
        )
    return path.suffix.lower()


def read_timeline(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a timeline written by `Timeline`, one at a time.

    Raises:
        FerError: The file does not exist, or a line is not a valid row.
    """
    path = Path(path)
    parse = _from_csv if check_timeline_suffix(path) == ".csv" else _from_jsonl
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from parse(file)
    except OSError as error:
        raise FerError(f"{path}: expected a timeline, cannot read it ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FerError(
            f"{path}: expected a timeline in UTF-8, got a damaged or different file ({error}). "
            "Run fer-predict again."
        ) from error
    except _BadLineError as error:
        raise FerError(
            f"{path}, line {error.args[0]}: expected a timeline row, got an invalid one "
            f"({error.__cause__}). It is truncated or edited; remove the line."
        ) from error


class _BadLineError(Exception):
    """The line with this number is not a valid row."""


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
    emotions = [name for name in cells if name not in _COLUMNS]
    return Row(
        int(cells["frame"]),
        float(cells["seconds"]),
        int(cells["face"]),
        _box([float(cells[side]) for side in _BOX_COLUMNS]),
        cells["label"],
        float(cells["confidence"]),
        {"true": True, "false": False}[cells["uncertain"]],
        {emotion: float(cells[emotion]) for emotion in emotions},
    )


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, width, height = values
    return left, top, width, height


def _json_values(row: Row) -> dict[str, Any]:
    """Return JSON values, rounded: seconds to 0.001, pixels to 0.1, probabilities to six digits."""
    return {
        "frame": row.frame,
        "seconds": round(row.seconds, 3),
        "face": row.face,
        "box": [round(float(value), 1) for value in row.box],
        "label": row.label,
        "confidence": round(float(row.confidence), 6),
        "uncertain": bool(row.uncertain),
        "probabilities": {name: round(float(value), 6) for name, value in row.probabilities.items()},
    }


def csv_header(emotions: Sequence[str]) -> str:
    """Return the header line of a CSV timeline."""
    return _to_csv([[*_COLUMNS, *emotions]])


def csv_lines(rows: Sequence[Row], emotions: Sequence[str]) -> str:
    """Return one CSV line per row, with the probabilities in the order of these emotions."""
    return _to_csv([_cells(row, emotions) for row in rows])


def _cells(row: Row, emotions: Sequence[str]) -> list[Any]:
    values = _json_values(row)
    probabilities = [values["probabilities"][emotion] for emotion in emotions]
    uncertain = str(row.uncertain).lower()
    head = [
        row.frame,
        values["seconds"],
        row.face,
        *values["box"],
        row.label,
        values["confidence"],
        uncertain,
    ]
    return [*head, *probabilities]


def _to_csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
