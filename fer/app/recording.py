"""A recording of the predictions on camera frames, as CSV in memory."""

from collections.abc import Sequence

from fer.predict.predictor import Prediction
from fer.predict.video.timeline import csv_header, csv_lines, to_row

# Limit of a recording, with one row per face and frame: 20 minutes of one face at 30 frames per second, 5 MB.
MAX_ROWS = 36_000


class Recording:
    """A timeline as CSV in memory, with a maximal number of rows.

    Args:
        emotions: In the order of the columns.
        max_rows: Rows after which the recording is full.

    Attributes:
        rows: Number of rows so far.
    """

    def __init__(self, emotions: Sequence[str], max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._parts = [csv_header(emotions)]
        self._start: float | None = None
        self._frames = self.rows = 0

    @property
    def full(self) -> bool:
        """Whether the maximal number of rows is reached."""
        return self.rows >= self._max_rows

    def add(self, faces: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        """Add a frame; times in the CSV are relative to the first frame.

        Args:
            faces: Number and prediction of each face.
            seconds: Time of the frame.
        """
        if self.full:
            return
        if self._start is None:
            self._start = seconds
        elapsed = seconds - self._start
        rows = [to_row(self._frames, elapsed, number, prediction) for number, prediction in faces]
        rows = rows[: self._max_rows - self.rows]
        self._frames, self.rows = self._frames + 1, self.rows + len(rows)
        self._parts.append(csv_lines(rows))

    def to_csv(self) -> str:
        """Return the recording; see `fer.predict.video.timeline` for the columns."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]
