"""Prediction on an uploaded video: annotated H.264 copy, timeline, summary; temporary files are deleted."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

import av

from fer.app.history import History
from fer.app.resources import Slot
from fer.app.settings import MAX_FACES_PER_FRAME, MAX_VIDEO_FRAMES, MAX_VIDEO_PIXELS, MAX_VIDEO_SECONDS
from fer.app.uploads import display_name
from fer.core.errors import FerError
from fer.predict.predictor import Predictor
from fer.predict.video.h264 import H264Writer
from fer.predict.video.reader import VideoFile
from fer.predict.video.run import Sink, to_timelines, to_video
from fer.predict.video.summary import Summary
from fer.predict.video.timeline import Timeline
from fer.predict.video.tracking import CutDetector, FaceTracker

# A chart is about 700 pixels wide: more points would not be visible.
_MAX_CHART_POINTS = 240
_MIN_STEP_SECONDS = 0.1
# Tolerance: a two-minute video may end slightly after the limit.
_MAX_SECONDS = MAX_VIDEO_SECONDS + 1
# Called with the numbers of frames done and expected.
Progress = Callable[[int, int | None], None]
# First bytes of a video. Other files are not opened: FFmpeg also reads playlists, which can make the server
# open further files and URLs.
_SIGNATURES = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip|pnot)"  # MP4, MOV
    rb"|\x1a\x45\xdf\xa3"  # MKV, WebM
    rb"|RIFF....AVI ",
    re.DOTALL,
)
# Without dots, as Streamlit's file uploader takes them.
VIDEO_SUFFIXES = ("mp4", "m4v", "mov", "mkv", "webm", "avi")
# Longer side of the annotated video in pixels; larger frames are downscaled.
MAX_OUTPUT_SIDE = 1280


@dataclass(frozen=True)
class VideoAnalysis:
    """Predictions on a video.

    Attributes:
        video: The annotated copy, an MP4 file.
        csv: The timeline as CSV, see `fer.predict.video.timeline`.
        jsonl: The timeline as JSONL.
        history: Mean probabilities of each face over time.
        summary: Frames and faces.
        warning: Says which part was not analysed, e.g. of a truncated file; None if all of it was.
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
        points: Draw the landmarks: eyes, nose and mouth corners.
        bars: Draw the probability of every emotion.
    """

    predictor: Predictor
    compute_slot: Slot
    progress: Progress
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
        annotated, csv, jsonl = (folder / file for file in ("annotated.mp4", "rows.csv", "rows.jsonl"))
        summary, history = Summary("video"), History(emotions, _step_seconds(video))
        with ExitStack() as stack:
            timelines = [stack.enter_context(Timeline(path, emotions, path == csv)) for path in (csv, jsonl)]
            writer = stack.enter_context(
                H264Writer(
                    annotated,
                    video.fps,
                    video.path,
                    max_side=MAX_OUTPUT_SIDE,
                    max_seconds=_MAX_SECONDS,
                    threads=1,
                )
            )
            sinks = [
                summary.add,
                lambda frame, faces: history.add(faces, frame.seconds),
                to_timelines(*timelines),
                to_video(writer.write, self.points, self.bars),
                lambda frame, faces: self.progress(frame.index + 1, video.frame_count),
            ]
            complete, most_faces = self._process_frames(video, sinks)
        warnings = [video.truncation_message() if complete else _longer_than_declared(video.path)]
        if most_faces > MAX_FACES_PER_FRAME:
            warnings.append(
                f"Only the {MAX_FACES_PER_FRAME} largest faces of a frame were analysed; a frame has up to "
                f"{most_faces}. fer-predict has no such limit."
            )
        warning = " ".join(filter(None, warnings)) or None
        return VideoAnalysis(
            annotated.read_bytes(),
            csv.read_bytes(),
            jsonl.read_bytes(),
            history,
            summary,
            warning and warning.replace(str(video.path), name),
        )

    def _process_frames(self, video: VideoFile, sinks: list[Sink]) -> tuple[bool, int]:
        """Predict frame by frame.

        Returns:
            False if the limit of length was reached before the end, and the largest number of faces that were
            detected in a frame.
        """
        most_faces = 0
        tracker, is_cut = FaceTracker(abstain_below=self.predictor.card.uncertain_below), CutDetector()
        for frame in video:
            if frame.seconds > _MAX_SECONDS or frame.index >= MAX_VIDEO_FRAMES:
                return False, most_faces
            with self.compute_slot():
                detected = self.predictor.detect(frame.image)
                most_faces = max(most_faces, len(detected))
                faces = detected[:MAX_FACES_PER_FRAME]
                predictions = self.predictor.classify(frame.image, faces)
            tracked = tracker.update(predictions, frame.seconds, is_cut(frame.image))
            for sink in sinks:
                sink(frame, tracked)
        return True, most_faces


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
            f"{video.path}: expected a video of at most {MAX_VIDEO_SECONDS:.0f} seconds and "
            f"{MAX_VIDEO_FRAMES:,} frames, got {seconds:.0f} seconds and {video.frame_count:,} "
            "frames. Upload a shorter part, or use fer-predict, which has no limit."
        )


def _longer_than_declared(path: Path) -> str:
    return (
        f"{path}: expected the length that the file header declares, got more frames. Only the first "
        f"{MAX_VIDEO_SECONDS:.0f} seconds or {MAX_VIDEO_FRAMES:,} frames were analysed."
    )


def _step_seconds(video: VideoFile) -> float:
    """Return the time between two points of the chart."""
    declared = MAX_VIDEO_SECONDS if video.frame_count is None else video.frame_count / video.fps
    seconds = min(MAX_VIDEO_SECONDS, declared)
    return max(_MIN_STEP_SECONDS, seconds / _MAX_CHART_POINTS)


def check_video(path: Path) -> None:
    """Check that a file is a video in a supported container, with frames within the size limit.

    Raises:
        FerError: The file is not a video, it is damaged, or its frames are too large.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if not _SIGNATURES.match(head):
        actual = "another file type" if head else "an empty file"
        raise FerError(
            f"{path}: expected a video (MP4, MOV, MKV, WebM or AVI), got {actual}. Choose another file."
        )
    width, height = _frame_size(path)
    if width * height > MAX_VIDEO_PIXELS:
        raise FerError(
            f"{path}: expected frames of at most {MAX_VIDEO_PIXELS / 1e6:.0f} megapixels, got {width:,} x "
            f"{height:,} pixels. Reduce the resolution of the video."
        )


def _frame_size(path: Path) -> tuple[int, int]:
    """Return the declared width and height, without decoding a frame."""
    try:
        with av.open(str(path)) as container:
            sizes = [(stream.width or 0, stream.height or 0) for stream in container.streams.video]
    except (av.FFmpegError, ValueError) as error:
        raise FerError(
            f"{path}: expected a readable video, but it cannot be opened. The file is probably damaged or "
            "truncated. Try it in a video player, and export it again as MP4."
        ) from error
    if not sizes:
        raise FerError(f"{path}: expected a video, got a file without a video stream. Choose another file.")
    return sizes[0]
