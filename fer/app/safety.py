"""What a visitor is told when something goes wrong: a sentence, never a traceback or a path of the server."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from fer.app.intake import escaped
from fer.errors import FerError

_FOLDERS = re.compile(r"(?<![\w:/.])(?:~|\.{1,2})?/(?:[^\s/:'\"<>|]+/)*")
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
    """Return a message in which every path is cut down to the name of its file."""
    return _FOLDERS.sub("", text)
