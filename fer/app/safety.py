"""What a visitor is told when something goes wrong: a sentence, never a traceback or a path of the server."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import streamlit as st

from fer.app.intake import escaped
from fer.app.settings import Settings, settings
from fer.errors import FerError

_PART = r"[^\s/\\:'\"<>|]+"
_FOLDERS = re.compile(
    rf"(?<!\w)(?:[A-Za-z]:|\\)[/\\]+(?:{_PART}[/\\]+)*"  # C:\folder\ and \\server\folder\
    rf"|(?<![\w/.])(?!(?<=:)//)(?:~|\.{{1,2}})?/(?:{_PART}/)*"  # not the // of https://
)
_LOG = logging.getLogger("fer.app")


@contextmanager
def explained() -> Iterator[None]:
    """Show what goes wrong within as a message; the rest of the page stays usable.

    A `FerError` is shown without folders of the server; of anything else the visitor learns that it happened,
    and the server's log the rest.
    """
    try:
        yield
    except FerError as error:
        show_error(error)
    except Exception:
        _LOG.exception("A page failed")
        st.error("Something went wrong on our side; it has been noted. Try again, or reload the page.")


def show_error(error: FerError) -> None:
    """Show a mistake that can be put right."""
    st.error(escaped(without_folders(str(error))))


def without_folders(text: str) -> str:
    """Return a message in which every path is cut down to the name of its file.

    Folders that the app was started with, or in, are known as they are: they may have blanks, or be relative.
    """
    for place in sorted(_known(), key=lambda place: -len(str(place))):
        known = rf"(?<![\w./\\-]){re.escape(str(place))}"
        text = re.sub(rf"{known}(?=[/\\][^\s/\\])", "", text)  # of a path further down the rest goes next
        text = re.sub(rf"{known}(?![\w-])", place.name.replace("\\", r"\\"), text)
    return _FOLDERS.sub("", text)


def _known() -> set[Path]:
    """Return places of this machine that messages may name."""
    places = {*settings().places, Settings.models, Path(__file__).parents[2]}
    with suppress(OSError, RuntimeError):  # a user without a home, a folder that has been removed
        places |= {*(place.absolute() for place in places), Path.cwd(), Path.home()}
    return {place for place in places if place.name}
