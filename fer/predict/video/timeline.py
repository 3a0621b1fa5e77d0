"""The timeline of a video, one row per face and frame, written frame by frame as JSONL or CSV."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TextIO

from fer.core.errors import FerError
from fer.predict.predictor import Prediction

SUFFIXES = (".jsonl", ".csv")
_BOX_COLUMNS = ("left", "top", "width", "height")
_COLUMNS = ("frame", "seconds", "face", *_BOX_COLUMNS, "label", "confidence", "uncertain")
Row = dict[str, Any]


def to_row(frame: int, seconds: float, number: int, prediction: Prediction) -> Row:
    """Return one face in one frame as JSON values.

    Args:
        frame: Index of the frame, from 0.
        seconds: Time since the start; rounded to 0.001.
        number: Number of the face, constant over frames.
        prediction: Its box is rounded to 0.1 pixels, its probabilities to six digits.
    """
    return {
        "frame": frame,
        "seconds": round(seconds, 3),
        "face": number,
        "box": [round(float(value), 1) for value in prediction.face.box],
        "label": prediction.label,
        "confidence": round(float(prediction.confidence), 6),
        "uncertain": bool(prediction.uncertain),
        "probabilities": {name: round(float(value), 6) for name, value in prediction.probabilities.items()},
    }


class Timeline(AbstractContextManager["Timeline"]):
    """Writes rows to a JSONL or CSV file, depending on its suffix, and flushes after each frame.

    Args:
        path: File to write; an existing file is replaced.
        emotions: The model's emotions in order: columns of a CSV file.

    Raises:
        FerError: The suffix is not supported, or the file cannot be written.
    """

    def __init__(self, path: str | Path, emotions: Sequence[str]) -> None:
        self.path = Path(path)
        self._csv = check_timeline_suffix(self.path) == ".csv"
        try:
            self._file: TextIO = self.path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise FerError(
                f"{self.path}: cannot be written ({error.strerror}). Choose another path."
            ) from error
        if self._csv:
            self._write(csv_header(emotions))

    def write(self, rows: Sequence[Row]) -> None:
        """Write the faces of a frame, see `to_row`.

        Raises:
            FerError: Writing failed, e.g. because the disk is full; earlier rows are kept.
        """
        if self._csv:
            self._write(csv_lines(rows))
        else:
            self._write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

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

    def __exit__(self, *error: object) -> None:
        """Close the file; a failed write has been reported by `write` before."""
        with suppress(OSError):
            self._file.close()


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


def csv_header(emotions: Sequence[str]) -> str:
    """Return the header line of a CSV timeline."""
    return _to_csv([[*_COLUMNS, *emotions]])


def csv_lines(rows: Sequence[Row]) -> str:
    """Return one CSV line per row."""
    return _to_csv([_cells(row) for row in rows])


def _cells(row: Row) -> list[Any]:
    cells = {**row, "uncertain": str(row["uncertain"]).lower()}
    box, probabilities = cells.pop("box"), cells.pop("probabilities")
    cells |= zip(_BOX_COLUMNS, box, strict=True)
    return [*(cells[name] for name in _COLUMNS), *probabilities.values()]


def _to_csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
