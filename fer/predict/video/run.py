"""Run a predictor on a video or webcam, and write an annotated video and a timeline."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from fer.core.errors import FerError
from fer.predict.annotate import draw
from fer.predict.predictor import Prediction, Predictor, map_in_threads
from fer.predict.result_file import STANDARD
from fer.predict.video.progress import LiveFaces, Progress
from fer.predict.video.reader import Frame, FramePrefetcher, VideoFile, Webcam, open_source
from fer.predict.video.stream import Stream, is_stream_address
from fer.predict.video.summary import Summary
from fer.predict.video.timeline import Timeline, to_row
from fer.predict.video.tracking import CutDetector, FaceTracker
from fer.predict.video.writer import VideoFileWriter, check_video_suffix, partial_path, why_not_h264

# Each thread holds a frame, 25 MB in 4K.
_MAX_THREADS = 8
# In a crowd, bars would cover people whose faces are not detected.
_MAX_FACES_WITH_BARS = 8
# Seconds without a frame after which a camera counts as disconnected.
_CAMERA_TIMEOUT = 10.0
# Number and prediction of each face of a frame.
TrackedFaces = Sequence[tuple[int, Prediction]]
Video = VideoFile | Webcam | Stream
Sink = Callable[[Frame, TrackedFaces], None]


@dataclass(frozen=True)
class Outputs:
    """The requested outputs; see `run_video`."""

    annotate: Path | None
    json: str | Path | None
    csv: str | Path | None
    points: bool
    bars: bool
    show: bool

    @property
    def text(self) -> TextIO:
        """The stream of all other text: standard error if standard output gets a timeline."""
        return sys.stderr if STANDARD in map(str, (self.json, self.csv)) else sys.stdout

    def check(self, source: Path) -> None:
        """Check, before anything is opened, that the outputs can be written and do not overwrite the source.

        Raises:
            FerError: The suffix of the copy is not supported, an output is the source or a folder, or its
                folder cannot be created.
        """
        if self.annotate:
            check_video_suffix(self.annotate)
        timelines = [Path(path) for path in (self.json, self.csv) if path and str(path) != STANDARD]
        for path in [*filter(None, [self.annotate]), *timelines]:
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
                raise FerError(f"{path.parent}: this folder cannot be created ({error.strerror}).") from error

    def print_paths(self) -> None:
        """Print which files were written, and why the annotated copy is not H.264."""
        for title, path in (("timeline", self.json), ("timeline", self.csv), ("annotated", self.annotate)):
            if path and str(path) != STANDARD:
                note = why_not_h264(self.annotate) if self.annotate is path else None
                print(f"{title:<11}{path}{f' ({note})' if note else ''}", file=self.text)

    def open(self, stack: ExitStack, video: Video, emotions: Sequence[str]) -> list[Sink]:
        """Return the sinks that receive the faces of each frame; the stack closes them."""
        sinks: list[Sink] = []
        for path, as_csv in ((self.json, False), (self.csv, True)):
            if path:
                sinks.append(to_timelines(stack.enter_context(Timeline(path, emotions, as_csv))))
        if self.annotate:
            sound = video.path if isinstance(video, VideoFile) else None
            writer = stack.enter_context(VideoFileWriter(self.annotate, video.fps, sound))
            sinks.append(to_video(writer.write, self.points, self.bars))
        if self.show:
            sinks.append(_to_terminal(stack, video, self.text))
        return sinks


def run_video(
    source: str | Path,
    predictor: Predictor,
    *,
    annotate: str | Path | None = None,
    json: str | Path | None = None,
    csv: str | Path | None = None,
    smooth: float = 0.5,
    threads: int | None = None,
    points: bool = True,
    bars: bool = False,
    show: bool = True,
) -> Summary:
    """Predict the emotions of the faces in a video or from a webcam, frame by frame.

    Every frame of a video is processed; of a webcam the latest frame is processed, and older ones are
    dropped. The annotated copy shows each frame at its time, also if the frame rate is variable. Memory does
    not grow with the duration. Ctrl-C ends a webcam normally. For a video it keeps what was done, an
    unfinished copy as ``NAME.part.mp4``.

    Args:
        source: A video, the address of a stream (``rtsp://…``, ``http://…``), or the number of a webcam
            (``"0"``); a `Path` is always a video.
        predictor: Detects and classifies the faces.
        annotate: Video file to write with the predictions drawn in; None: no annotated video. With PyAV it
            is H.264 with the sound of the video; without, MPEG-4 Part 2 without sound.
        json: JSONL file to write, one line per face and frame; None: none. ``-``: standard output, and all
            other text goes to standard error.
        csv: CSV file to write; likewise.
        smooth: Time constant in seconds of the smoothing of each face's probabilities; 0: no smoothing.
        threads: Frames processed in parallel, at most 8; None: the predictor's threads. A predictor with one
            thread and several frames in parallel is fastest: 18 ms of CPU time per frame, against 24 ms with
            two threads each.
        points: Draw the landmarks (eyes, nose, mouth corners).
        bars: Draw the probability of every emotion.
        show: Print progress (of a webcam: the current faces) and a summary.

    Returns:
        What was processed, and the emotions of each face.

    Raises:
        FerError: The source cannot be opened, or an output cannot be written.
        KeyboardInterrupt: Ctrl-C stopped a video; its outputs are closed.
    """
    outputs = Outputs(None if annotate is None else Path(annotate), json, csv, points, bars, show)
    outputs.check(Path(source))
    is_stream = isinstance(source, str) and is_stream_address(source)
    video = Stream(str(source)) if is_stream else open_source(source)
    summary = Summary(video.name)
    try:
        _process(video, predictor, smooth, outputs, summary, threads or predictor.threads)
    finally:
        if show and summary.frames:
            print(summary, file=outputs.text)
            outputs.print_paths()
            if summary.warning:
                print(f"WARNING: {summary.warning}", file=sys.stderr)
    return summary


def _process(
    video: Video,
    predictor: Predictor,
    smooth: float,
    outputs: Outputs,
    summary: Summary,
    threads: int,
) -> None:
    start = time.monotonic()
    tracker, is_cut = FaceTracker(smooth, predictor.uncertain_below), CutDetector()
    with ExitStack() as stack:
        frames = stack.enter_context(_prefetch(video))
        sinks = [summary.add, *outputs.open(stack, video, predictor.card.labels.names)]
        try:
            parallel = 1 if video.live else min(threads, _MAX_THREADS)
            with closing(_predictions(frames, predictor, parallel)) as predictions:
                for frame, frame_predictions in predictions:
                    # With a webcam a sudden change is not a cut, but e.g. a light that is switched on.
                    cut = not video.live and is_cut(frame.image)
                    faces = tracker.update(frame_predictions, frame.seconds, cut)
                    for sink in sinks:
                        sink(frame, faces)
        except KeyboardInterrupt:
            # Ctrl-C is the normal end of a webcam; a video is then incomplete.
            if not video.live:
                raise
        finally:
            summary.dropped, summary.elapsed = frames.dropped, time.monotonic() - start
    summary.warning = video.truncation_message()
    if isinstance(video, VideoFile):
        summary.last_duration = video.last_duration()


@contextmanager
def _prefetch(video: Video) -> Iterator[FramePrefetcher]:
    """Yield prefetched frames; the reading thread ends before the video is closed."""
    frames = FramePrefetcher(video, latest_only=video.live, timeout=_CAMERA_TIMEOUT if video.live else None)
    try:
        yield frames
    finally:
        # A camera that hangs is not closed: closing it while a thread reads from it can crash.
        if frames.close():
            video.close()


def _predictions(
    frames: Iterable[Frame], predictor: Predictor, threads: int
) -> Generator[tuple[Frame, list[Prediction]]]:
    """Yield frames and their predictions in order, with several frames processed in parallel."""

    def predict(frame: Frame) -> tuple[Frame, list[Prediction]]:
        return frame, predictor.classify(frame.image, predictor.detect(frame.image))

    if threads == 1:
        yield from map(predict, frames)
    else:
        yield from map_in_threads(predict, frames, threads, threads + 1)


def to_video(write_image: Callable[[np.ndarray, float], None], points: bool, bars: bool) -> Sink:
    """Return a sink that draws the predictions into each frame, see `draw`, and writes it.

    Args:
        write_image: Adds an image, RGB, uint8 ``(H, W, 3)``, shown from a time in seconds on.
        points: Draw the landmarks.
        bars: Draw the probabilities, of up to eight faces.
    """

    def write(frame: Frame, faces: TrackedFaces) -> None:
        names = [f"#{number}" for number, _ in faces]
        has_bars = bars and len(faces) <= _MAX_FACES_WITH_BARS
        image = draw(frame.image, [prediction for _, prediction in faces], points, names, has_bars)
        write_image(image, frame.seconds)

    return write


def to_timelines(*timelines: Timeline) -> Sink:
    """Return a sink that writes a row for each face of a frame to each timeline."""

    def write(frame: Frame, faces: TrackedFaces) -> None:
        rows = [to_row(frame.index, frame.seconds, number, prediction) for number, prediction in faces]
        for timeline in timelines:
            timeline.write(rows)

    return write


def _to_terminal(stack: ExitStack, video: Video, text: TextIO) -> Sink:
    if video.live:
        display = LiveFaces(text)
        return lambda frame, faces: display.show(faces)
    progress = Progress(video.name, video.frame_count)
    stack.callback(progress.clear)
    return lambda frame, faces: progress.update(frame.index + 1)
