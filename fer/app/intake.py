"""Files of strangers: read in memory, or refused in a sentence."""

import re
import unicodedata

import numpy as np

from fer.app.limits import MAX_PICTURE_MB, MIN_SIDE
from fer.errors import FerError
from fer.picture import open_picture

_LONGEST = 60  # characters of a name that are shown


def read_upload(name: str, content: bytes) -> np.ndarray:
    """Return a picture that somebody sent, RGB, uint8 ``(H, W, 3)``.

    Args:
        name: What the sender calls it; only shown, and never trusted.
        content: Of the file.

    Raises:
        FerError: No picture, a damaged, too large or too narrow one, or a file of too many megabytes; the
            message begins with `plain_name`.
    """
    if len(content) > MAX_PICTURE_MB << 20:
        raise FerError(
            f"{plain_name(name)}: expected a picture of at most {MAX_PICTURE_MB} MB, got one of "
            f"{len(content) / (1 << 20):.0f} MB. Make it smaller."
        )
    try:
        picture = open_picture(content)
    except FerError as error:
        raise FerError(f"{plain_name(name)}: {_reason(error)}") from error
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise FerError(
            f"{plain_name(name)}: expected a picture with sides of at least {MIN_SIDE} pixels, got one of "
            f"{width:,} x {height:,}. There is no room for a face in it."
        )
    return picture


def plain_name(name: str) -> str:
    """Return the last part of a file's name, without control signs and not overly long."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(sign for sign in last if unicodedata.category(sign)[0] != "C").strip()
    if len(seen) > _LONGEST:
        seen = f"{seen[: _LONGEST // 2]}…{seen[-_LONGEST // 2 + 1 :]}"
    return seen or "unnamed"


def escaped(text: str) -> str:
    """Return a text so that Markdown shows it as it is."""
    return re.sub(r"[\\`*_{}\[\]<>#|~$&]|:(?=[\w/])|^[+-](?=\s)", r"\\\g<0>", text)


def _reason(error: FerError) -> str:
    """Return a message without the words that stand for the file's name."""
    return re.sub(r"^these [\d,]+ bytes: ", "", str(error))
