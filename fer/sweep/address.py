"""Where a sweep's study is kept: what an address may be, and its password, which is never written down."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from fer.errors import FerError
from fer.places import at_home

FORMS = "null (a SQLite file), sqlite:///FILE, journal:FILE or postgresql://USER@HOST/DATABASE"
_NOTE = "study.address"  # of a sweep's folder: where its study lies
_POSTGRESQL = r"postgres(?:ql)?(?:\+\w+)?://"
_USER_PASSWORD = re.compile(rf"({_POSTGRESQL}[^:@/]*):(.*?)@([^@?]*(?:\?\w+=.*)?)$")
_PARAMETER = re.compile(rf"({_POSTGRESQL}.*[?&])password=([^&'\"\s}}]*)&?")  # the last one, which counts


def without_password(text: str) -> str:
    """Take the password out of an address, or of a command-line word with one.

    It is put into ``PGPASSWORD`` instead, where PostgreSQL's own client looks for it, here and in every
    worker that inherits the environment. So no config, log, pickle or W&B run ever holds it.
    """
    if found := _USER_PASSWORD.search(text):
        os.environ["PGPASSWORD"] = unquote(found[2])
        text = _USER_PASSWORD.sub(r"\1@\3", text)
    if found := _PARAMETER.search(text):
        os.environ["PGPASSWORD"] = unquote(found[2])
        while _PARAMETER.search(text):
            text = re.sub(r"[?&]+(?=['\"\s}]|$)", "", _PARAMETER.sub(r"\1", text))
    return text


def full_address(text: object, folder: Path) -> str:
    """Return the address in full: files by absolute paths, null as a SQLite file in the sweep's folder.

    Args:
        text: ``sweep.storage`` as given.
        folder: The sweep's folder.

    Raises:
        FerError: It has none of the known forms, or a password that cannot be kept out of files.
    """
    if text is None:
        return f"sqlite:///{folder.resolve() / 'sweep.db'}"
    if not isinstance(text, str):
        raise FerError(f"sweep.storage: expected {FORMS}, got {text!r}.")
    text = without_password(text)
    kind, _, path = text.partition(":")
    if kind == "sqlite" and path.startswith("///"):
        return f"sqlite:///{_file(path[3:])}"
    if kind == "journal" and path.strip("/"):
        return f"journal:{_file(path)}"
    if re.match(_POSTGRESQL, text):
        if "sslpassword=" in text:
            raise FerError(
                "sweep.storage: the address would be written down, and sslpassword= with it. Put that into "
                "~/.pg_service.conf, and name the service: ?service=NAME."
            )
        return re.sub(_POSTGRESQL, "postgresql://", text)
    raise FerError(f"sweep.storage: expected {FORMS}, got {_masked(text)!r}.")


def _masked(text: str) -> str:
    """Take what may be a password out of an address that is none of ours."""
    hidden = re.sub(r"((?:^|/)[^:/@\s]+):(?!/).*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s'\"]*", r"\1***", hidden)


def note_address(folder: Path, address: str) -> None:
    """Leave the full address of a study, without a password, in a sweep's folder, where it lies elsewhere."""
    file = file_of(address)
    if file is None or file.parent != folder.resolve():
        (folder / _NOTE).write_text(address, encoding="utf-8")


def noted_address(folder: Path) -> str | None:
    """Return what `note_address` left; None where the study lies in the folder itself."""
    note = folder / _NOTE
    return note.read_text(encoding="utf-8") if note.is_file() else None


def file_of(address: str) -> Path | None:
    """Return the file behind a full address; None for a server's."""
    kind, _, path = address.partition(":")
    return None if kind == "postgresql" else Path(path.removeprefix("///") if kind == "sqlite" else path)


def _file(path: str) -> Path:
    file = at_home(path).resolve()
    if not file.parent.is_dir():
        raise FerError(f"sweep.storage: {file} cannot be opened, as there is no folder {file.parent}.")
    return file
