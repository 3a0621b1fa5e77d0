"""Where the answers on a film go: an annotated copy, a time line, the terminal."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fer.annotate import draw
from fer.errors import FerError
from fer.predict import Prediction
from fer.video.follow import to_row
from fer.video.frames import Film, Frame, Webcam
from fer.video.screen import Faces, Progress
from fer.video.timeline import Timeline, check_suffix
from fer.video.writer import FilmWriter, check_film_suffix, part_of

Seen = Sequence[tuple[int, Prediction]]  # number of a face and its answer
Sink = Callable[[Frame, Seen], None]


class PictureWriter(Protocol):
    """Makes a film of pictures."""

    def write(self, picture: np.ndarray, seconds: float, /) -> None:
        """Add a picture, RGB, uint8 ``(H, W, 3)``, shown from this second on."""


@dataclass(frozen=True)
class Outputs:
    """What is to be written; see `fer.video.run.run_video`."""

    annotate: Path | None
    timeline: Path | None
    points: bool
    bars: bool
    show: bool

    def check(self, source: Path) -> None:
        """Make sure, before anything is opened, that all can be written and the source stays whole.

        Raises:
            FerError: A suffix does not fit, an output is the source or a folder, or one cannot be made.
        """
        if self.annotate:
            check_film_suffix(self.annotate)
        if self.timeline:
            check_suffix(self.timeline)
        for path in filter(None, (self.annotate, self.timeline)):
            if path.is_dir():
                raise FerError(f"{path}: expected a file to write, got a folder. Name a file in it.")
            for written in (path, part_of(path)) if path == self.annotate else (path,):
                if written.exists() and source.exists() and written.samefile(source):
                    raise FerError(f"{written}: this is the film itself. Choose another name for the output.")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FerError(f"{path.parent}: this folder cannot be made ({error.strerror}).") from error

    def open(self, stack: ExitStack, film: Film | Webcam, emotions: Sequence[str]) -> list[Sink]:
        """Return what takes the faces of each frame; the stack closes it.

        Args:
            stack: Told of an error, it keeps an unfinished film apart.
            film: Where the frames come from.
            emotions: Of the model, in order.
        """
        sinks: list[Sink] = []
        if self.timeline:
            sinks.append(to_timelines(stack.enter_context(Timeline(self.timeline, emotions))))
        if self.annotate:
            writer = stack.enter_context(FilmWriter(self.annotate, film.rate))
            sinks.append(to_film(writer, self.points, self.bars))
        if self.show:
            sinks.append(_to_screen(stack, film))
        return sinks


def to_film(writer: PictureWriter, points: bool, bars: bool) -> Sink:
    """Return what draws the answers into each frame and writes it.

    Args:
        writer: Of the film.
        points: Draw the five points of each face too.
        bars: Draw a bar for each emotion beside each face.
    """

    def write(frame: Frame, seen: Seen) -> None:
        names = [f"#{number}" for number, _ in seen]
        picture = draw(frame.picture, [answer for _, answer in seen], points, names, bars)
        writer.write(picture, frame.seconds)

    return write


def to_timelines(*timelines: Timeline) -> Sink:
    """Return what writes a row for each face of a frame into each time line."""

    def write(frame: Frame, seen: Seen) -> None:
        rows = [to_row(frame.index, frame.seconds, number, answer) for number, answer in seen]
        for timeline in timelines:
            timeline.write(rows)

    return write


def _to_screen(stack: ExitStack, film: Film | Webcam) -> Sink:
    if film.live:
        faces = Faces()
        return lambda frame, seen: faces.show(seen)
    progress = Progress(film.name, film.count)
    stack.callback(progress.clear)
    return lambda frame, seen: progress.update(frame.index + 1)
