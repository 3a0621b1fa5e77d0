"""Storage addresses of a sweep: checked, completed, and kept free of passwords."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from fer.errors import FerError
from fer.places import expand_user

ADDRESS_FORMS = "null (a SQLite file), sqlite:///FILE, journal:FILE or postgresql://USER@HOST/DATABASE"
_ADDRESS_FILE = "study.address"  # in the sweep's folder, when its study is stored elsewhere
_POSTGRESQL = r"postgres(?:ql)?(?:\+\w+)?://"
_USER_PASSWORD = re.compile(rf"({_POSTGRESQL}[^:@/]*):(.*?)@([^@?]*(?:\?\w+=.*)?)$")
# The last password= of an address, which is the one that PostgreSQL uses.
_PASSWORD_PARAMETER = re.compile(rf"({_POSTGRESQL}.*[?&])password=([^&'\"\s}}]*)&?")


def without_password(text: str) -> str:
    """Return an address, or a command-line override with one, without its password.

    The password is put into the environment variable ``PGPASSWORD``, where PostgreSQL's client library reads
    it, in this process and in every worker that inherits the environment. No config, log, pickle or W&B run
    ever contains it.
    """
    if match := _USER_PASSWORD.search(text):
        os.environ["PGPASSWORD"] = unquote(match[2])
        text = _USER_PASSWORD.sub(r"\1@\3", text)
    if match := _PASSWORD_PARAMETER.search(text):
        os.environ["PGPASSWORD"] = unquote(match[2])
        while _PASSWORD_PARAMETER.search(text):
            text = re.sub(r"[?&]+(?=['\"\s}]|$)", "", _PASSWORD_PARAMETER.sub(r"\1", text))
    return text


def full_address(text: object, folder: Path) -> str:
    """Return the complete address: absolute file paths, and a SQLite file in the sweep's folder for null.

    Args:
        text: The option ``sweep.storage``.
        folder: The sweep's folder.

    Raises:
        FerError: The address has none of the known forms, or a password that would be written to files.
    """
    if text is None:
        return f"sqlite:///{folder.resolve() / 'sweep.db'}"
    if not isinstance(text, str):
        raise FerError(f"sweep.storage: expected {ADDRESS_FORMS}, got {text!r}.")
    text = without_password(text)
    kind, _, path = text.partition(":")
    if kind == "sqlite" and path.startswith("///"):
        return f"sqlite:///{_absolute(path[3:])}"
    if kind == "journal" and path.strip("/"):
        return f"journal:{_absolute(path)}"
    if re.match(_POSTGRESQL, text):
        if "sslpassword=" in text:
            raise FerError(
                "sweep.storage: expected an address without sslpassword= because the address is written to "
                "files. Put that password into ~/.pg_service.conf, and name the service: ?service=NAME."
            )
        return re.sub(_POSTGRESQL, "postgresql://", text)
    raise FerError(f"sweep.storage: expected {ADDRESS_FORMS}, got {_masked(text)!r}.")


def _masked(text: str) -> str:
    """Return an address of an unknown form with anything that may be a password replaced by ``***``."""
    hidden = re.sub(r"((?:^|/)[^:/@\s]+):(?!/).*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s'\"]*", r"\1***", hidden)


def save_address(folder: Path, address: str) -> None:
    """Write a study's address, without a password, into the sweep's folder if it is stored elsewhere."""
    file = storage_file(address)
    if file is None or file.parent != folder.resolve():
        (folder / _ADDRESS_FILE).write_text(address, encoding="utf-8")


def saved_address(folder: Path) -> str | None:
    """Return the address written by `save_address`; None if the study is in the folder itself."""
    file = folder / _ADDRESS_FILE
    return file.read_text(encoding="utf-8") if file.is_file() else None


def storage_file(address: str) -> Path | None:
    """Return the file of a complete address; None for a server."""
    kind, _, path = address.partition(":")
    return None if kind == "postgresql" else Path(path.removeprefix("///") if kind == "sqlite" else path)


def _absolute(path: str) -> Path:
    file = expand_user(path).resolve()
    if not file.parent.is_dir():
        raise FerError(
            f"sweep.storage: expected a file in an existing folder, got {file}. Create the folder "
            f"{file.parent}, or choose another file."
        )
    return file
