"""Prediction on an uploaded video: faces of each frame, annotated H.264 copy; temporary files are deleted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fer.app.resources import Slot
from fer.app.settings import MAX_FACES_PER_FRAME, MAX_VIDEO_FRAMES, MAX_VIDEO_SECONDS
from fer.app.uploads import display_name
from fer.app.video_file import check_video, plays_in_browser
from fer.app.video_frames import VideoFrames
from fer.core.errors import FerError
from fer.core.text import counted
from fer.predict.predictor import Predictor
from fer.predict.video.h264 import H264Writer
from fer.predict.video.reader import Frame, VideoFile
from fer.predict.video.run import TrackedFaces, to_video
from fer.predict.video.tracking import CutDetector, FaceTracker

# Tolerance: a two-minute video may end slightly after the limit.
_MAX_SECONDS = MAX_VIDEO_SECONDS + 1
# Called with the numbers of frames done and expected.
Progress = Callable[[int, int | None], None]
# Longer side of the videos that are shown, in pixels; larger frames are downscaled.
MAX_OUTPUT_SIDE = 1280


@dataclass(frozen=True)
class Look:
    """Settings that need neither detection nor the model again.

    Attributes:
        smooth: Time constant of the smoothing in seconds; 0: none.
        uncertain_below: A prediction is uncertain below this probability; None: never.
        points: Draw the landmarks: eyes, nose and mouth corners.
        bars: Draw the probability of every emotion.
    """

    smooth: float = 0.5
    uncertain_below: float | None = None
    points: bool = False
    bars: bool = True


@dataclass(frozen=True, eq=False)
class VideoAnalysis:
    """Predictions on a video.

    Attributes:
        frames: The faces of each frame.
        video: The annotated copy, an MP4 file.
        original: The video as a browser plays it: the uploaded file, or a copy as H.264.
        look: The settings of the annotated copy.
        warning: Says what was not analysed, e.g. of a truncated file; None if all of it was.
    """

    frames: VideoFrames
    video: bytes
    original: bytes
    look: Look
    warning: str | None


@dataclass(frozen=True)
class VideoJob:
    """Predictor and options for the analysis of videos.

    Attributes:
        predictor: Detects and classifies the faces.
        compute_slot: Returns a context manager within which one frame may be computed.
        progress: Called with the frames done and the frames expected, the latter None if unknown. An
            exception that it raises ends the job; temporary files are deleted.
        look: Settings of the annotated copy.
    """

    predictor: Predictor
    compute_slot: Slot
    progress: Progress
    look: Look = Look()

    def run(self, name: str, content: bytes, earlier: VideoAnalysis | None = None) -> VideoAnalysis:
        """Analyse a video. Beyond the returned videos and faces, memory does not grow with its length.

        Args:
            name: File name given by the sender; only displayed, never used as a path.
            content: The file. It is copied to a temporary folder for the duration of this call.
            earlier: An analysis of the same video with this predictor: its copy is written again with another
                look, without detection and without the model.

        Raises:
            FerError: The file is not a video, damaged, too long or too large. The message names no folder.
        """
        with (
            TemporaryDirectory(prefix="fer-video-") as temporary,
            _renamed_in_errors(Path(temporary) / "video", name) as path,
        ):
            path.write_bytes(content)
            check_video(path)
            video = VideoFile(path)
            try:
                if earlier is not None:
                    return self._redraw(video, Path(temporary), earlier)
                return self._analyse(video, Path(temporary), display_name(name), content)
            finally:
                video.close()

    def _redraw(self, video: VideoFile, folder: Path, earlier: VideoAnalysis) -> VideoAnalysis:
        tracks = earlier.frames.track(self.look.smooth, self.look.uncertain_below)
        with self._writer(folder / "annotated.mp4", video) as writer:
            write = to_video(writer.write, self.look.points, self.look.bars)
            for frame, (_, faces) in zip(video, tracks, strict=False):
                write(frame, faces)
                self.progress(frame.index + 1, len(earlier.frames))
        return replace(earlier, video=writer.path.read_bytes(), look=self.look)

    def _analyse(self, video: VideoFile, folder: Path, name: str, content: bytes) -> VideoAnalysis:
        _check_length(video)
        frames = VideoFrames(self.predictor.card.labels.names)
        with ExitStack() as stack:
            annotated = stack.enter_context(self._writer(folder / "annotated.mp4", video))
            write, plain = to_video(annotated.write, self.look.points, self.look.bars), None
            if not plays_in_browser(video.path):
                plain = stack.enter_context(self._writer(folder / "plain.mp4", video))
            for frame, faces in self._detected(video, frames):
                write(frame, faces)
                if plain is not None:
                    plain.write(frame.image, frame.seconds)
                self.progress(frame.index + 1, video.frame_count)
        return VideoAnalysis(
            frames,
            annotated.path.read_bytes(),
            content if plain is None else plain.path.read_bytes(),
            self.look,
            _warning(video, frames, name),
        )

    def _writer(self, path: Path, video: VideoFile) -> H264Writer:
        return H264Writer(
            path, video.fps, video.path, max_side=MAX_OUTPUT_SIDE, max_seconds=_MAX_SECONDS, threads=1
        )

    def _detected(self, video: VideoFile, frames: VideoFrames) -> Iterator[tuple[Frame, TrackedFaces]]:
        """Yield the frames with their faces, up to the limit of length, and store the faces."""
        tracker, is_cut = FaceTracker(self.look.smooth, self.look.uncertain_below), CutDetector()
        for frame in video:
            if frame.seconds > _MAX_SECONDS or frame.index >= MAX_VIDEO_FRAMES:
                frames.is_complete = False
                break
            with self.compute_slot():
                detected = self.predictor.detect(frame.image)
                predictions = self.predictor.classify(frame.image, detected[:MAX_FACES_PER_FRAME])
            frames.most_faces = max(frames.most_faces, len(detected))
            tracked = tracker.update(predictions, frame.seconds, is_cut(frame.image))
            frames.add(frame, predictions, [number for number, _ in tracked])
            yield frame, tracked
        frames.last_duration = video.last_duration()


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


def _warning(video: VideoFile, frames: VideoFrames, name: str) -> str | None:
    """Return what was not analysed; None if all of it was."""
    warnings = [video.truncation_message() if frames.is_complete else _longer_than_declared(video.path)]
    if frames.most_faces > MAX_FACES_PER_FRAME:
        largest = f"{counted(MAX_FACES_PER_FRAME, 'largest face')} of a frame"
        was = "was" if MAX_FACES_PER_FRAME == 1 else "were"
        warnings.append(
            f"Only the {largest} {was} analysed; a frame has up to {frames.most_faces}. fer-predict has no "
            "such limit."
        )
    return " ".join(filter(None, warnings)).replace(str(video.path), name) or None


def _longer_than_declared(path: Path) -> str:
    return (
        f"{path}: expected the length that the file header declares, got more frames. Only the first "
        f"{MAX_VIDEO_SECONDS:.0f} seconds or {MAX_VIDEO_FRAMES:,} frames were analysed."
    )
