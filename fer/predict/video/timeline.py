"""The timeline of a video, one row per face and frame, written frame by frame as JSONL or CSV."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fer.predict.predictor import Prediction
from fer.predict.result_file import BOX_COLUMNS, ResultFile, to_csv

_COLUMNS = ("frame", "seconds", "face", *BOX_COLUMNS, "label", "confidence", "uncertain")
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
    """Writes rows to a JSONL or CSV file, and flushes after each frame.

    Args:
        path: File to write; an existing file is replaced. ``-``: standard output.
        emotions: The model's emotions in order: columns of a CSV file.
        as_csv: Write CSV; otherwise JSONL.

    Raises:
        FerError: The file cannot be written.
    """

    def __init__(self, path: str | Path, emotions: Sequence[str], as_csv: bool = False) -> None:
        self._csv, self._file = as_csv, ResultFile(path)
        if self._csv:
            self._file.write(csv_header(emotions))

    def write(self, rows: Sequence[Row]) -> None:
        """Write the faces of a frame, see `to_row`.

        Raises:
            FerError: Writing failed, e.g. because the disk is full; earlier rows are kept.
        """
        self._file.write(csv_lines(rows) if self._csv else json_lines(rows))

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._file.__exit__(*error)


def json_lines(rows: Sequence[Row]) -> str:
    """Return one line of JSON per row."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def csv_header(emotions: Sequence[str]) -> str:
    """Return the header line of a CSV timeline."""
    return to_csv([[*_COLUMNS, *emotions]])


def csv_lines(rows: Sequence[Row]) -> str:
    """Return one CSV line per row."""
    return to_csv(_cells(row) for row in rows)


def _cells(row: Row) -> list[Any]:
    cells = dict(row)
    box, probabilities = cells.pop("box"), cells.pop("probabilities")
    cells |= zip(BOX_COLUMNS, box, strict=True)
    return [*(cells[name] for name in _COLUMNS), *probabilities.values()]
