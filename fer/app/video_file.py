"""Checks of an uploaded file: is it a video, is it small enough, and does a browser play it."""

import re
from pathlib import Path

import av

from fer.app.settings import MAX_VIDEO_PIXELS
from fer.core.errors import FerError

# First bytes of a video. Other files are not opened: FFmpeg also reads playlists, which can make the server
# open further files and URLs.
_SIGNATURES = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip|pnot)"  # MP4, MOV
    rb"|\x1a\x45\xdf\xa3"  # MKV, WebM
    rb"|RIFF....AVI ",
    re.DOTALL,
)
# What all browsers play, by the suffix of the container.
_MP4_BRANDS = re.compile(rb"....ftyp(?!qt  )", re.DOTALL)
_PLAYED_IN_MP4 = frozenset({"h264", "aac", "mp3", "mp3float"})
_PLAYED_IN_WEBM = frozenset({"vp8", "vp9", "libdav1d", "av1", "opus", "vorbis"})


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


def plays_in_browser(path: Path) -> bool:
    """Return whether all common browsers play a video as it is: H.264 in MP4, or WebM."""
    with path.open("rb") as file:
        is_mp4 = _MP4_BRANDS.match(file.read(16)) is not None
    try:
        with av.open(str(path)) as container:
            streams = [*container.streams.video[:1], *container.streams.audio[:1]]
            names = {stream.codec_context.name if stream.codec_context else "" for stream in streams}
            formats = {stream.codec_context.pix_fmt for stream in container.streams.video[:1]}
            is_webm = "webm" in container.format.name and not names - _PLAYED_IN_WEBM
    except (av.FFmpegError, ValueError):
        return False
    return formats <= {"yuv420p", "yuvj420p"} and ((is_mp4 and not names - _PLAYED_IN_MP4) or is_webm)
