"""Prediction on an uploaded video: annotated H.264 copy, timeline, summary; temporary files are deleted."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from fer.app.film_kind import check_video
from fer.app.history import History
from fer.app.intake import display_name
from fer.app.limits import MAX_FACES_PER_FRAME, MAX_VIDEO_FRAMES, MAX_VIDEO_SECONDS
from fer.app.playable import H264Writer
from fer.errors import FerError
from fer.predict import Predictor
from fer.video.cuts import CutDetector
from fer.video.follow import FaceTracker
from fer.video.frames import VideoFile
from fer.video.outputs import Sink, to_timelines, to_video
from fer.video.screen import format_duration
from fer.video.summary import Summary
from fer.video.timeline import Timeline

# A chart is about 700 pixels wide: more points would not be visible.
_MAX_CHART_POINTS = 240
_MIN_STEP_SECONDS = 0.1
# Tolerance: a two-minute video may end slightly after the limit.
_MAX_SECONDS = MAX_VIDEO_SECONDS + 1
Slot = Callable[[], AbstractContextManager[object]]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class VideoAnalysis:
    """Predictions on a video.

    Attributes:
        video: The annotated copy, an MP4 file.
        csv: The timeline as CSV, see `fer.video.timeline`.
        jsonl: The timeline as JSONL.
        history: Mean probabilities of each face over time.
        summary: Frames and faces.
        warning: What could not be read, e.g. because the file is truncated; None if it was read completely.
    """

    video: bytes
    csv: bytes
    jsonl: bytes
    history: History
    summary: Summary
    warning: str | None


@dataclass(frozen=True)
class VideoJob:
    """Predictor and options for the analysis of videos.

    Attributes:
        predictor: Detects and classifies the faces.
        compute_slot: Returns a context manager within which one frame may be computed.
        progress: Called with the frames done and the frames expected, the latter None if unknown. An
            exception that it raises ends the job; temporary files are deleted.
        smooth: Seconds over which the probabilities of a face are averaged.
        points: Draw the landmarks: eyes, nose and mouth corners.
        bars: Draw the probability of every emotion.
    """

    predictor: Predictor
    compute_slot: Slot
    progress: Progress
    smooth: float = 0.5
    points: bool = False
    bars: bool = True

    def run(self, name: str, content: BytesIO) -> VideoAnalysis:
        """Analyse a video. Beyond the returned video and rows, memory does not grow with its length.

        Args:
            name: File name given by the sender; only displayed, never used as a path.
            content: The file. It is copied to a temporary folder for the duration of this call.

        Raises:
            FerError: The file is not a video, damaged, too long or too large. The message names no folder.
        """
        with (
            TemporaryDirectory(prefix="fer-video-") as temporary,
            _renamed_in_errors(Path(temporary) / "video", name) as path,
        ):
            content.seek(0)
            with path.open("wb") as file:
                copyfileobj(content, file)
            check_video(path)
            video = VideoFile(path)
            try:
                return self._analyse(video, Path(temporary), display_name(name))
            finally:
                video.close()

    def _analyse(self, video: VideoFile, folder: Path, name: str) -> VideoAnalysis:
        _check_length(video)
        emotions = self.predictor.card.labels.names
        annotated, csv, jsonl = (folder / one for one in ("annotated.mp4", "rows.csv", "rows.jsonl"))
        summary, history = Summary("video"), History(emotions, _step_seconds(video))
        with ExitStack() as stack:
            timelines = [stack.enter_context(Timeline(path, emotions)) for path in (csv, jsonl)]
            writer = stack.enter_context(H264Writer(annotated))
            sinks = [
                summary.add,
                lambda frame, faces: history.add(faces, frame.seconds),
                to_timelines(*timelines),
                to_video(writer, self.points, self.bars),
                lambda frame, faces: self.progress(frame.index + 1, video.frame_count),
            ]
            complete = self._process_frames(video, sinks)
        warning = video.truncation_message() if complete else _longer_than_declared(video.path)
        return VideoAnalysis(
            annotated.read_bytes(),
            csv.read_bytes(),
            jsonl.read_bytes(),
            history,
            summary,
            warning and warning.replace(str(video.path), name),
        )

    def _process_frames(self, video: VideoFile, sinks: list[Sink]) -> bool:
        """Predict frame by frame; return False if the limit of length was reached before the end."""
        tracker, is_cut = FaceTracker(self.smooth, self.predictor.card.abstain_below), CutDetector()
        for frame in video:
            if frame.seconds > _MAX_SECONDS or frame.index >= MAX_VIDEO_FRAMES:
                return False
            with self.compute_slot():
                faces = self.predictor.detect(frame.image)[:MAX_FACES_PER_FRAME]
                predictions = self.predictor.classify(frame.image, faces)
            tracked = tracker.update(predictions, frame.seconds, is_cut(frame.image))
            for sink in sinks:
                sink(frame, tracked)
        return True


@contextmanager
def _renamed_in_errors(path: Path, name: str) -> Iterator[Path]:
    """Replace the temporary path by the sender's file name in error messages."""
    try:
        yield path
    except FerError as error:
        raise FerError(str(error).replace(str(path), display_name(name))) from error


def _check_length(video: VideoFile) -> None:
    if video.frame_count is None:
        return
    seconds = video.frame_count / video.fps
    if seconds > _MAX_SECONDS or video.frame_count > MAX_VIDEO_FRAMES:
        raise FerError(
            f"{video.path}: expected a video of at most {format_duration(MAX_VIDEO_SECONDS)} minutes and "
            f"{MAX_VIDEO_FRAMES:,} frames, got {format_duration(seconds)} minutes and {video.frame_count:,} "
            "frames. Upload a shorter part, or use fer-predict, which has no limit."
        )


def _longer_than_declared(path: Path) -> str:
    return (
        f"{path}: expected the length that the file header declares, got more frames. Only the first "
        f"{format_duration(MAX_VIDEO_SECONDS)} minutes or {MAX_VIDEO_FRAMES:,} frames were analysed."
    )


def _step_seconds(video: VideoFile) -> float:
    """Return the time between two points of the chart."""
    seconds = (
        MAX_VIDEO_SECONDS
        if video.frame_count is None
        else min(MAX_VIDEO_SECONDS, video.frame_count / video.fps)
    )
    return max(_MIN_STEP_SECONDS, seconds / _MAX_CHART_POINTS)
