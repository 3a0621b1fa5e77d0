"""What the terminal shows meanwhile: how far a film or a folder is, or what the webcam sees."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from fer.predict import Prediction

_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"
_BAR = 24  # characters


class Progress:
    """A line that says how far it is, on standard error; none where that is no terminal, or for one thing.

    Args:
        name: Of the film; empty for pictures.
        total: Its frames, or all pictures; None where that is unknown.
        unit: What is counted.
        stream: Where to; standard error if None.
    """

    def __init__(
        self, name: str, total: int | None, unit: str = "frames", stream: TextIO | None = None
    ) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._stream = stream or sys.stderr
        self._visible = total != 1 and self._stream.isatty()
        self._start, self._shown = time.monotonic(), 0.0

    def update(self, done: int) -> None:
        """Show that so many are done; ten times a second at most, or when the line was taken away."""
        now = time.monotonic()
        if now - self._shown >= 0.1:
            self._shown = now
            self._write(progress_line(self._name, done, self._total, now - self._start, self._unit))

    def clear(self) -> None:
        """Take the line away: at the end, or to print another one."""
        self._shown = 0.0
        self._write("")

    def _write(self, line: str) -> None:
        if self._visible:
            self._stream.write(f"\r{line}{_CLEAR_LINE}")
            self._stream.flush()


def progress_line(name: str, done: int, total: int | None, elapsed: float, unit: str = "frames") -> str:
    """Return e.g. ``clip.mp4 [######------]  50 %  150/300 frames  61.2 frames/s  0:02 left``."""
    rate = done / elapsed if elapsed > 0 else 0.0
    if not total:
        return f"{name}  {done:,} {unit}  {rate:.1f} {unit}/s"
    share = min(1.0, done / total)
    bar = "#" * round(share * _BAR)
    left = max(0, total - done) / rate if rate > 0 else 0.0
    return (
        f"{name} [{bar:-<{_BAR}}] {100 * share:3.0f} %  {done:,}/{total:,} {unit}  {rate:.1f} {unit}/s  "
        f"{clock(left)} left"
    ).lstrip()


def clock(seconds: float) -> str:
    """Return a length of time, e.g. ``1:05`` or ``1:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Faces:
    """A line for each face that the webcam sees, on standard output.

    In a terminal the lines stay in place; elsewhere (a file, a pipe) they are written once a second.

    Args:
        stream: Where to; standard output if None.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._height = 0  # lines shown last
        self._shown = self._start = time.monotonic()
        self._frames = 0

    def show(self, faces: Sequence[tuple[int, Prediction]]) -> None:
        """Show the faces of the newest frame: number and answer of each."""
        self._frames += 1
        now = time.monotonic()
        terminal = self._stream.isatty()
        if now - self._shown < (0.1 if terminal else 1.0):
            return
        self._shown = now
        lines = [face_line(number, prediction) for number, prediction in faces] or ["no face"]
        lines.append(f"{self._frames / (now - self._start):.1f} frames/s, Ctrl-C ends")
        back = f"\x1b[{self._height}A\r{_CLEAR_BELOW}" if terminal and self._height else ""
        self._stream.write(back + "\n".join(lines) + "\n")
        self._stream.flush()
        self._height = len(lines)


def face_line(number: int, prediction: Prediction) -> str:
    """Return e.g. ``face 1  happy 93 %, then neutral 4 %, surprise 2 %``."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:3]
    (first, share), *others = [(name, f"{value:.0%}".replace("%", " %")) for name, value in ranked]
    doubt = " (uncertain)" if prediction.uncertain else ""
    rest = ", ".join(f"{name} {value}" for name, value in others)
    return f"face {number}  {first} {share}{doubt}, then {rest}"
