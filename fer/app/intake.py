"""Uploaded files from untrusted visitors: reading images, and making file names and messages safe to show."""

import re
import unicodedata

import numpy as np

from fer.app.limits import MAX_IMAGE_MB, MIN_SIDE
from fer.errors import FerError
from fer.picture import read_image

_MAX_NAME_LENGTH = 60


def read_upload(name: str, content: bytes) -> np.ndarray:
    """Return an uploaded image, RGB, uint8 ``(H, W, 3)``.

    Args:
        name: File name given by the sender; only displayed, never used as a path.
        content: Content of the file.

    Raises:
        FerError: The file is not an image, damaged, too large or too small. The message starts with the
            `display_name`.
    """
    if len(content) > MAX_IMAGE_MB << 20:
        raise FerError(
            f"{display_name(name)}: expected an image of at most {MAX_IMAGE_MB} MB, got "
            f"{len(content) / (1 << 20):.0f} MB. Reduce its size."
        )
    try:
        image = read_image(content)
    except FerError as error:
        raise FerError(f"{display_name(name)}: {_without_source(error)}") from error
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise FerError(
            f"{display_name(name)}: expected an image with sides of at least {MIN_SIDE} pixels, got "
            f"{width:,} x {height:,}. It is too small to contain a face."
        )
    return image


def display_name(name: str) -> str:
    """Return the last part of a file name, without control characters, shortened to 60 characters."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(char for char in last if unicodedata.category(char)[0] != "C").strip()
    if len(printable) > _MAX_NAME_LENGTH:
        printable = f"{printable[: _MAX_NAME_LENGTH // 2]}…{printable[-_MAX_NAME_LENGTH // 2 + 1 :]}"
    return printable or "unnamed"


def escape_markdown(text: str) -> str:
    """Return a text that Markdown displays literally."""
    return re.sub(r"[\\`*_{}\[\]<>#|~$&]|:(?=[\w/])|^[+-](?=\s)", r"\\\g<0>", text)


def _without_source(error: FerError) -> str:
    """Return the message of `read_image` without the prefix that it has in place of a file name."""
    return re.sub(r"^these [\d,]+ bytes: ", "", str(error))
