"""Write an annotated copy, which gets its final name only when it is complete."""

import sys
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer.core.errors import FerError
from fer.predict.video.mpeg4 import Mpeg4Writer

if TYPE_CHECKING:
    from fer.predict.video.h264 import H264Writer

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi")
_MPEG4_ONLY = ".avi"


class VideoFileWriter(AbstractContextManager["VideoFileWriter"]):
    """Writes images to a video: H.264 with sound if PyAV is installed, otherwise MPEG-4 Part 2.

    The video is written to ``NAME.part.mp4`` and renamed at the end. After an error the partial file is kept
    and can be played.

    Args:
        path: File to write; an existing file is replaced when the new one is complete.
        fps: Frames per second.
        source: Video whose sound is written; None: no sound.

    Raises:
        FerError: The suffix is not supported.
    """

    def __init__(self, path: str | Path, fps: float, source: Path | None = None) -> None:
        self.path = check_video_suffix(Path(path))
        self.part = partial_path(self.path)
        self._encoder = _open_encoder(self.part, fps, source)

    @property
    def written(self) -> int:
        """Return the number of frames written."""
        return self._encoder.written

    def write(self, image: np.ndarray, seconds: float) -> None:
        """Add an image; it is resized if its size differs from the first image.

        Args:
            image: RGB, uint8 ``(H, W, 3)``.
            seconds: Its time since the start.

        Raises:
            FerError: The file cannot be written.
        """
        self._encoder.write(image, seconds)

    def finish(self) -> None:
        """Close the video and rename it to its final name.

        Raises:
            FerError: The file is incomplete, or cannot be renamed.
        """
        if not self.written:
            return
        self._encoder.finish()
        try:
            self.part.replace(self.path)
        except OSError as error:
            raise FerError(
                f"{self.path}: the video cannot be renamed to this ({error.strerror}). It is kept as "
                f"{self.part}."
            ) from error

    def __exit__(self, *error: object) -> None:
        """Finish the video; after an error, close the partial video and print where it is."""
        if error[1] is None:
            self.finish()
            return
        self._encoder.close()
        if self.written:
            print(f"{self.part}: the {self.written:,} frames written so far are kept here.", file=sys.stderr)


def _open_encoder(path: Path, fps: float, source: Path | None) -> "H264Writer | Mpeg4Writer":
    if why_not_h264(path):
        return Mpeg4Writer(path, fps)
    # Imported late: PyAV takes a tenth of a second to load.
    from fer.predict.video.h264 import H264Writer

    return H264Writer(path, fps, source)


def why_not_h264(path: Path) -> str | None:
    """Return why the copy with this name is MPEG-4 Part 2 without sound; None if it is H.264 with sound."""
    kept = "MPEG-4 Part 2 without sound, which browsers do not play"
    if path.suffix.lower() == _MPEG4_ONLY:
        return f"{kept}; name it .mp4 for H.264 with sound"
    if find_spec("av") is None:
        return f"{kept}; for H.264 with sound install PyAV: uv pip install av"
    return None


def partial_path(path: Path) -> Path:
    """Return the path of a video while it is being written."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def check_video_suffix(path: Path) -> Path:
    """Return the path if a video with its suffix can be written.

    Raises:
        FerError: The suffix is not one of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        supported = ", ".join(SUFFIXES)
        raise FerError(
            f"{path}: expected a video file ending in {supported}, got {path.suffix or 'no suffix'!r}. "
            "Rename it."
        )
    return path
