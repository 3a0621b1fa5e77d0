"""Files of results: JSONL or CSV, written row by row, or standard output."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TextIO

from fer.core.errors import FerError
from fer.predict.predictor import ImageResult, Predictor

# The name of standard output, and of standard input.
STANDARD = "-"
BOX_COLUMNS = ("left", "top", "width", "height")
_COLUMNS = ("file", "face", *BOX_COLUMNS, "rotation", "score", "label", "confidence", "uncertain")


class ResultFile(AbstractContextManager["ResultFile"]):
    """A text file that is flushed after each write, so that an interruption loses nothing.

    Args:
        path: File to write; an existing file is replaced. ``-``: standard output.

    Raises:
        FerError: The file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._is_standard = str(path) == STANDARD
        if self._is_standard:
            self._file: TextIO = sys.stdout
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise FerError(
                f"{self.path}: cannot be written ({error.strerror}). Choose another path."
            ) from error

    def write(self, text: str) -> None:
        """Write text and flush it.

        Raises:
            FerError: Writing failed, e.g. because the disk is full; what was written before is kept.
            BrokenPipeError: The reader of standard output has closed it.
        """
        if not text:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            if self._is_standard:
                raise
            raise FerError(
                f"{self.path}: writing failed ({error.strerror}). The rows written before are kept. Free "
                "some disk space."
            ) from error

    def __exit__(self, *error: object) -> None:
        """Close the file; a failed write has been reported by `write` before."""
        if not self._is_standard:
            with suppress(OSError):
                self._file.close()


def to_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of cells as lines of CSV; truth values are ``true`` and ``false``."""
    text = io.StringIO()
    cells = ([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def json_entry(name: str, result: ImageResult, predictor: Predictor) -> dict[str, Any]:
    """Return the JSON values for an image: its numbered faces or its error, and the model and detector."""
    faces = [{"face": number, **face.to_dict()} for number, face in enumerate(result.predictions, 1)]
    content = {"error": str(result.error)} if result.error else {"size": result.size, "faces": faces}
    model, detector = predictor.model_name, predictor.detector.name
    return {"file": name, **content, "model": model, "detector": detector}


def json_line(name: str, result: ImageResult, predictor: Predictor) -> str:
    """Return `json_entry` as a line of JSONL."""
    return json.dumps(json_entry(name, result, predictor)) + "\n"


def image_csv_header(emotions: Sequence[str]) -> str:
    """Return the header line of a CSV file of the faces in images."""
    return to_csv([[*_COLUMNS, *emotions, "error"]])


def image_csv_lines(name: str, result: ImageResult, emotions: Sequence[str]) -> str:
    """Return a CSV line for each face of an image; one with empty cells for an image without a face."""
    rows = []
    for number, prediction in enumerate(result.predictions, 1):
        face = prediction.to_dict()
        values = (face[key] for key in ("rotation", "score", "label", "confidence", "uncertain"))
        rows.append([name, number, *face["box"], *values, *face["probabilities"].values(), ""])
    empty = [""] * (len(_COLUMNS) - 1 + len(emotions))
    return to_csv(rows or [[name, *empty, str(result.error or "")]])
