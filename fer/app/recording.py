"""What the camera saw, kept as CSV in memory until it is downloaded."""

from collections.abc import Sequence

from fer.prediction import Prediction
from fer.video.follow import to_row
from fer.video.timeline import csv_head, csv_lines

MAX_ROWS = 36_000  # of faces: 20 minutes of one face at 30 frames a second, some 5 MB


class Recording:
    """A time line in memory, of bounded length.

    Args:
        emotions: In the order of the columns.
        max_rows: Rows after which it is full.

    Attributes:
        rows: Faces written so far.
    """

    def __init__(self, emotions: Sequence[str], max_rows: int = MAX_ROWS) -> None:
        self._emotions = tuple(emotions)
        self._max_rows = max_rows
        self._parts = [csv_head(emotions)]
        self._start: float | None = None
        self._frames = self.rows = 0

    @property
    def full(self) -> bool:
        """Return whether nothing more is taken."""
        return self.rows >= self._max_rows

    def add(self, seen: Sequence[tuple[int, Prediction]], seconds: float) -> None:
        """Add the faces of a frame, number and answer of each; times are written from the first frame on."""
        if self.full:
            return
        if self._start is None:
            self._start = seconds
        rows = [to_row(self._frames, seconds - self._start, number, answer) for number, answer in seen]
        rows = rows[: self._max_rows - self.rows]
        self._frames, self.rows = self._frames + 1, self.rows + len(rows)
        self._parts.append(csv_lines(rows, self._emotions))

    def to_csv(self) -> str:
        """Return all of it; see `fer.video.timeline` for the columns."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]
