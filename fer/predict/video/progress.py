"""Terminal output of fer-predict: a progress line, and the current faces of a webcam."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from fer.core.text import percent
from fer.predict.predictor import Prediction

_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"
# Width of the progress bar in characters.
_BAR_WIDTH = 24


class Progress:
    """A progress line on standard error; hidden if that is not a terminal, or if there is one item only.

    Args:
        name: Name of the video; empty for images.
        total: Number of frames or images; None if unknown.
        unit: Name of the items.
        stream: Stream to write to; None: standard error.
    """

    def __init__(
        self, name: str, total: int | None, unit: str = "frames", stream: TextIO | None = None
    ) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._stream = stream or sys.stderr
        self._visible = total != 1 and self._stream.isatty()
        self._start, self._last_shown = time.monotonic(), 0.0

    def update(self, done: int) -> None:
        """Show the number of finished items, at most ten times a second, or at once after `clear`."""
        now = time.monotonic()
        if now - self._last_shown >= 0.1:
            self._last_shown = now
            self._write(progress_line(self._name, done, self._total, now - self._start, self._unit))

    def clear(self) -> None:
        """Clear the line, at the end or before other output."""
        self._last_shown = 0.0
        self._write("")

    def _write(self, line: str) -> None:
        if self._visible:
            self._stream.write(f"\r{line}{_CLEAR_LINE}")
            self._stream.flush()


def progress_line(name: str, done: int, total: int | None, elapsed: float, unit: str = "frames") -> str:
    """Return e.g. ``clip.mp4 [######------]  50 %  150/300 frames  61.2 frames/s  0:02 left``."""
    speed = done / elapsed if elapsed > 0 else 0.0
    if not total:
        return f"{name}  {done:,} {unit}  {speed:.1f} {unit}/s"
    fraction = min(1.0, done / total)
    bar = "#" * round(fraction * _BAR_WIDTH)
    remaining = max(0, total - done) / speed if speed > 0 else 0.0
    return (
        f"{name} [{bar:-<{_BAR_WIDTH}}] {100 * fraction:3.0f} %  {done:,}/{total:,} {unit}  "
        f"{speed:.1f} {unit}/s  {format_duration(remaining)} left"
    ).lstrip()


def format_duration(seconds: float) -> str:
    """Return a duration as ``M:SS`` or ``H:MM:SS``, e.g. ``1:05`` or ``1:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class LiveFaces:
    """Prints a line for each face of the webcam on standard output.

    In a terminal the lines are updated in place; otherwise (a file, a pipe) they are written once a second.

    Args:
        stream: Stream to write to; None: standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        # Number of lines on the screen, which the next ones replace.
        self._height = 0
        self._last_shown = self._start = time.monotonic()
        self._frames = 0

    def show(self, faces: Sequence[tuple[int, Prediction]]) -> None:
        """Show the number and prediction of each face of the current frame."""
        self._frames += 1
        now = time.monotonic()
        terminal = self._stream.isatty()
        if now - self._last_shown < (0.1 if terminal else 1.0):
            return
        self._last_shown = now
        lines = [face_line(number, prediction) for number, prediction in faces] or ["no face"]
        lines.append(f"{self._frames / (now - self._start):.1f} frames/s, stop with Ctrl-C")
        move_up = f"\x1b[{self._height}A\r{_CLEAR_BELOW}" if terminal and self._height else ""
        self._stream.write(move_up + "\n".join(lines) + "\n")
        self._stream.flush()
        self._height = len(lines)


def face_line(number: int, prediction: Prediction) -> str:
    """Return e.g. ``face 1  happy 93 %, then neutral 4 %, surprise 2 %``."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:3]
    (first, confidence), *others = [(name, percent(value, 0)) for name, value in ranked]
    uncertain = " (uncertain)" if prediction.uncertain else ""
    rest = ", ".join(f"{name} {value}" for name, value in others)
    return f"face {number}  {first} {confidence}{uncertain}, then {rest}"
