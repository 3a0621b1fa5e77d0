"""Uploaded files from untrusted visitors: reading images, and making file names and messages safe to show."""

import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import streamlit as st

from fer.app.settings import MAX_IMAGE_MB, MIN_SIDE, Settings, settings
from fer.core.errors import FerError
from fer.core.image_io import VIDEO_ADVICE, read_image

_MAX_NAME_LENGTH = 60
_PATH_PART = r"[^\s/\\:'\"<>|]+"
_FOLDERS = re.compile(
    rf"(?<!\w)(?:[A-Za-z]:|\\)[/\\]+(?:{_PATH_PART}[/\\]+)*"  # C:\folder\ and \\server\folder\
    rf"|(?<![\w/.])(?!(?<=:)//)(?:~|\.{{1,2}})?/(?:{_PATH_PART}/)*"  # not the // of https://
)
_LOG = logging.getLogger("fer.app")


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
        # Without the prefix that `read_image` has in place of a file name.
        reason = re.sub(r"^these [\d,]+ bytes: ", "", str(error)).replace(VIDEO_ADVICE, "Use the page Video.")
        raise FerError(f"{display_name(name)}: {reason}") from error
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


@contextmanager
def handle_errors() -> Iterator[None]:
    """Show exceptions as messages; the rest of the page stays usable.

    A `FerError` is shown without folders of the server. Other exceptions are logged, and the visitor sees a
    general message.
    """
    try:
        yield
    except FerError as error:
        show_error(error)
    except Exception:
        _LOG.exception("A page failed")
        st.error("An internal error occurred and was logged. Try again, or reload the page.")


def show_error(error: FerError) -> None:
    """Show an error that the visitor can correct."""
    st.error(escape_markdown(strip_folders(str(error))))


def strip_folders(text: str) -> str:
    """Return a message in which every path is reduced to the file name.

    Paths in the settings are matched literally first: they may contain spaces or be relative.
    """
    for path in sorted(_known_paths(), key=lambda path: -len(str(path))):
        literal = rf"(?<![\w./\\-]){re.escape(str(path))}"
        # Of a longer path only this folder is removed here; `_FOLDERS` removes the rest.
        text = re.sub(rf"{literal}(?=[/\\][^\s/\\])", "", text)
        text = re.sub(rf"{literal}(?![\w-])", path.name.replace("\\", r"\\"), text)
    return _FOLDERS.sub("", text)


def _known_paths() -> set[Path]:
    """Return the paths of this machine that messages may contain."""
    paths = {*settings().paths, Settings.models, Path(__file__).parents[2]}
    # Raised for a user without a home folder, or if the working folder was deleted.
    with suppress(OSError, RuntimeError):
        paths |= {*(path.absolute() for path in paths), Path.cwd(), Path.home()}
    return {path for path in paths if path.name}
