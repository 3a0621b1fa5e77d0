"""Write a video with OpenCV alone: MPEG-4 Part 2, without sound."""

from pathlib import Path

import cv2
import numpy as np

from fer.core.errors import FerError

# MPEG-4 Part 2, because OpenCV's wheel cannot write H.264.
_CODEC = cv2.VideoWriter.fourcc(*"mp4v")
# Smallest side in pixels that the codec supports.
_MIN_SIDE = 16


class Mpeg4Writer:
    """Writes images to a video at a constant frame rate.

    Images are repeated or skipped so that each is shown at its time, because cameras and phones record at a
    variable rate.

    Args:
        path: File to write.
        fps: Frames per second.

    Attributes:
        written: Number of frames written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.written = path, 0
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        # The last image, repeated until the time of the next one.
        self._last = np.empty(0, np.uint8)

    def write(self, image: np.ndarray, seconds: float) -> None:
        """Add an image; it is resized if its size differs from the first image.

        Args:
            image: RGB, uint8 ``(H, W, 3)``.
            seconds: Its time since the start.

        Raises:
            FerError: The file cannot be created.
        """
        if self._writer is None:
            self._open(image)
        assert self._writer is not None
        index = round(seconds * self._fps)
        if index < self.written:
            # The frame at this time has been written already.
            return
        ready = self._fit(image)
        for shown in [*[self._last if self.written else ready] * (index - self.written), ready]:
            self._writer.write(shown)
        self.written, self._last = index + 1, ready

    def _open(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        self._size = (max(_MIN_SIDE, width + width % 2), max(_MIN_SIDE, height + height % 2))
        # An absolute path, because FFmpeg takes the part before a colon for a protocol.
        path = str(self.path.resolve())
        # The codec does not support every fractional rate.
        for fps in (self._fps, round(self._fps)):
            self._writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, _CODEC, fps, self._size)
            if self._writer.isOpened():
                self._fps = fps
                return
        self._writer = None
        raise FerError(
            f"{self.path}: this video of {self._size[0]} x {self._size[1]} pixels cannot be created. "
            "Check that the folder exists and is writable, and that the disk is not full."
        )

    def _fit(self, image: np.ndarray) -> np.ndarray:
        """Return the image as BGR in the video's size; an odd side is padded by its last row or column."""
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        below, right = self._size[1] - image.shape[0], self._size[0] - image.shape[1]
        if (right, below) == (0, 0):
            return image
        if 0 <= right < _MIN_SIDE and 0 <= below < _MIN_SIDE:
            return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)

    def finish(self) -> None:
        """Close the video.

        Raises:
            FerError: It is incomplete.
        """
        if self._writer is None:
            return
        self.close()
        count = _count_frames(self.path)
        if count < self.written:
            raise FerError(
                f"{self.path}: expected {self.written:,} frames, got {count:,} on disk. "
                "Check whether the disk is full; the partial video is kept."
            )

    def close(self) -> None:
        """Close the video as it is."""
        if self._writer is not None:
            self._writer.release()
        self._writer = None


def _count_frames(path: Path) -> int:
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
