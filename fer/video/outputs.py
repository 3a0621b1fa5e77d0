"""The outputs for a video: an annotated copy, a timeline, and the terminal."""

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
from fer.video.frames import Frame, VideoFile, Webcam
from fer.video.screen import LiveFaces, Progress
from fer.video.timeline import Timeline, check_timeline_suffix
from fer.video.writer import VideoFileWriter, check_video_suffix, partial_path

# Number and prediction of each face of a frame.
TrackedFaces = Sequence[tuple[int, Prediction]]
Sink = Callable[[Frame, TrackedFaces], None]


class FrameWriter(Protocol):
    """Writes images to a video."""

    def write(self, image: np.ndarray, seconds: float, /) -> None:
        """Add an image, RGB, uint8 ``(H, W, 3)``, shown from this time on."""


@dataclass(frozen=True)
class Outputs:
    """The requested outputs; see `fer.video.run.run_video`."""

    annotate: Path | None
    timeline: Path | None
    points: bool
    bars: bool
    show: bool

    def check(self, source: Path) -> None:
        """Check, before anything is opened, that the outputs can be written and do not overwrite the source.

        Raises:
            FerError: A suffix is not supported, an output is the source or a folder, or its folder cannot be
                made.
        """
        if self.annotate:
            check_video_suffix(self.annotate)
        if self.timeline:
            check_timeline_suffix(self.timeline)
        for path in filter(None, (self.annotate, self.timeline)):
            if path.is_dir():
                raise FerError(f"{path}: expected a file to write, got a folder. Name a file in it.")
            for target in (path, partial_path(path)) if path == self.annotate else (path,):
                if target.exists() and source.exists() and target.samefile(source):
                    raise FerError(
                        f"{target}: expected an output file, got the input video. Choose another name."
                    )
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FerError(f"{path.parent}: this folder cannot be made ({error.strerror}).") from error

    def open(self, stack: ExitStack, video: VideoFile | Webcam, emotions: Sequence[str]) -> list[Sink]:
        """Return the sinks that receive the faces of each frame; the stack closes them.

        Args:
            stack: Closes the outputs; after an error, an unfinished video keeps its temporary name.
            video: Source of the frames.
            emotions: The model's emotions, in order.
        """
        sinks: list[Sink] = []
        if self.timeline:
            sinks.append(to_timelines(stack.enter_context(Timeline(self.timeline, emotions))))
        if self.annotate:
            writer = stack.enter_context(VideoFileWriter(self.annotate, video.fps))
            sinks.append(to_video(writer, self.points, self.bars))
        if self.show:
            sinks.append(_to_terminal(stack, video))
        return sinks


def to_video(writer: FrameWriter, points: bool, bars: bool) -> Sink:
    """Return a sink that draws the predictions into each frame and writes it.

    Args:
        writer: Writes the video.
        points: Also draw the five landmarks of each face.
        bars: Also draw the probabilities beside each face.
    """

    def write(frame: Frame, faces: TrackedFaces) -> None:
        names = [f"#{number}" for number, _ in faces]
        image = draw(frame.image, [prediction for _, prediction in faces], points, names, bars)
        writer.write(image, frame.seconds)

    return write


def to_timelines(*timelines: Timeline) -> Sink:
    """Return a sink that writes a row for each face of a frame to each timeline."""

    def write(frame: Frame, faces: TrackedFaces) -> None:
        rows = [to_row(frame.index, frame.seconds, number, prediction) for number, prediction in faces]
        for timeline in timelines:
            timeline.write(rows)

    return write


def _to_terminal(stack: ExitStack, video: VideoFile | Webcam) -> Sink:
    if video.live:
        display = LiveFaces()
        return lambda frame, faces: display.show(faces)
    progress = Progress(video.name, video.frame_count)
    stack.callback(progress.clear)
    return lambda frame, faces: progress.update(frame.index + 1)
