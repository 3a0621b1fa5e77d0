"""Whether a file is a film that may be opened at all."""

import re
from pathlib import Path

import av

from fer.app.limits import MAX_VIDEO_PIXELS
from fer.errors import FerError

# First bytes. FFmpeg opens far more, among them play lists that name other files and addresses: a stranger's
# must not make the server read those.
_KINDS = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip|pnot)"  # MP4, MOV
    rb"|\x1a\x45\xdf\xa3"  # MKV, WebM
    rb"|RIFF....AVI ",
    re.DOTALL,
)
SUFFIXES = ("mp4", "m4v", "mov", "mkv", "webm", "avi")
_DAMAGED = "It looks damaged or cut off before its end. Try it in a player, and export it again as MP4."


def check_film(path: Path) -> None:
    """Make sure that a file is a film with pictures of a size that can be looked at.

    Raises:
        FerError: It is something else, damaged, or its pictures are too large.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if not _KINDS.match(head):
        found = "something else" if head else "an empty file"
        raise FerError(
            f"{path}: expected a film (MP4, MOV, MKV, WebM or AVI), got {found}. Choose another file."
        )
    width, height = _measure(path)
    if width * height > MAX_VIDEO_PIXELS:
        raise FerError(
            f"{path}: expected pictures of at most {MAX_VIDEO_PIXELS / 1e6:.0f} megapixels, got {width:,} x "
            f"{height:,}. Make the film smaller."
        )


def _measure(path: Path) -> tuple[int, int]:
    """Return width and height as the file says, before a picture of it takes memory."""
    try:
        with av.open(str(path)) as container:
            sizes = [(stream.width or 0, stream.height or 0) for stream in container.streams.video]
    except (av.FFmpegError, ValueError) as error:
        raise FerError(f"{path}: expected a film that can be opened, and this cannot. {_DAMAGED}") from error
    if not sizes:
        raise FerError(f"{path}: expected a film, got a file without moving pictures. Choose another one.")
    return sizes[0]
