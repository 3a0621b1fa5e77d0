"""Checks on an uploaded video before it is decoded: container format and frame size."""

import re
from pathlib import Path

import av

from fer.app.limits import MAX_VIDEO_PIXELS
from fer.errors import FerError

# Only files that start with these signatures are opened. FFmpeg also reads playlists, which can make the
# server open other files and URLs.
_SIGNATURES = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip|pnot)"  # MP4, MOV
    rb"|\x1a\x45\xdf\xa3"  # MKV, WebM
    rb"|RIFF....AVI ",
    re.DOTALL,
)
VIDEO_SUFFIXES = ("mp4", "m4v", "mov", "mkv", "webm", "avi")


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
