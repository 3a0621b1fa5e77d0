"""Error messages for visitors: one sentence, without tracebacks or folders of the server."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import streamlit as st

from fer.app.intake import escape_markdown
from fer.app.settings import Settings, settings
from fer.errors import FerError

_PATH_PART = r"[^\s/\\:'\"<>|]+"
_FOLDERS = re.compile(
    rf"(?<!\w)(?:[A-Za-z]:|\\)[/\\]+(?:{_PATH_PART}[/\\]+)*"  # C:\folder\ and \\server\folder\
    rf"|(?<![\w/.])(?!(?<=:)//)(?:~|\.{{1,2}})?/(?:{_PATH_PART}/)*"  # not the // of https://
)
_LOG = logging.getLogger("fer.app")


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
