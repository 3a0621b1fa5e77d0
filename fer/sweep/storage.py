"""The Optuna storage of a sweep: its address, opening, locking, retries and error messages."""

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

from fer.core.command_line import POSTGRESQL_SCHEME, mask_password, without_password
from fer.core.errors import FerError
from fer.core.paths import expand_user

T = TypeVar("T")
# Timeout for each network address of a server.
CONNECT_SECONDS = 3
# How long to wait for a SQLite file that another process has locked.
BUSY_SECONDS = 60
# Pauses of one minute in total: enough for a server to restart.
_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
ADDRESS_FORMS = "null (a SQLite file), sqlite:///FILE, journal:FILE or postgresql://USER@HOST/DATABASE"
# File in the sweep's folder with the address of its study, if that is stored elsewhere.
_ADDRESS_FILE = "study.address"


class StorageError(FerError):
    """A storage cannot be reached."""


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
    if re.match(POSTGRESQL_SCHEME, text):
        if "sslpassword=" in text:
            raise FerError(
                "sweep.storage: expected an address without sslpassword= because the address is written to "
                "files. Put that password into ~/.pg_service.conf, and name the service: ?service=NAME."
            )
        return re.sub(POSTGRESQL_SCHEME, "postgresql://", text)
    raise FerError(f"sweep.storage: expected {ADDRESS_FORMS}, got {mask_password(text)!r}.")


def _absolute(path: str) -> Path:
    file = expand_user(path).resolve()
    if not file.parent.is_dir():
        raise FerError(
            f"sweep.storage: expected a file in an existing folder, got {file}. Create the folder "
            f"{file.parent}, or choose another file."
        )
    return file


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


def with_retries(call: Callable[[], T]) -> T:
    """Return the result of a storage operation; retry it for a minute while the storage is unreachable.

    Args:
        call: The operation. It may be repeated after it failed halfway.

    Raises:
        StorageError: The storage is still unreachable. Errors of Optuna and SQLAlchemy are raised
            unchanged.
    """
    for seconds in _RETRY_SECONDS:
        try:
            return call()
        except _connection_errors():
            time.sleep(seconds)
    try:
        return call()
    except storage_errors():
        raise
    except _connection_errors() as error:
        raise StorageError(f"The storage of the sweep cannot be reached: {_first_line(error)}") from error


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of an unreachable storage."""
    return StorageError, StorageInternalError, SQLAlchemyError


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return `storage_errors` and the exceptions that a disk or a database driver raises itself."""
    server = [sys.modules["psycopg"].Error] if "psycopg" in sys.modules else []
    return (*storage_errors(), OSError, *server)


def open_storage(address: str) -> BaseStorage:
    """Open a storage, or create it; the first call must hold the `lock`.

    Args:
        address: As returned by `full_address`.

    Raises:
        FerError: It cannot be reached, or is not a storage.
    """
    with _explained(address):
        file = storage_file(address)
        if address.startswith("journal:"):
            return JournalStorage(JournalFileBackend(str(file)))
        if file is not None:
            return RDBStorage(address, {"connect_args": {"timeout": BUSY_SECONDS}})
        url = address.replace("postgresql://", "postgresql+psycopg://", 1)
        arguments = {"connect_timeout": CONNECT_SECONDS}
        return RDBStorage(url, {"connect_args": arguments, "pool_pre_ping": True})
    raise AssertionError("unreachable")


@contextmanager
def lock(address: str, name: str) -> Iterator[None]:
    """Lock a study against all other processes, on every machine; released when the process dies.

    Raises:
        FerError: The storage cannot be reached.
    """
    if (file := storage_file(address)) is None:
        with _lock_server(address, name):
            yield
        return
    held = FileLock(file.with_name(f".{file.name}.lock"), mode=0o666)
    with _explained(address):
        held.acquire()
    try:
        yield
    finally:
        held.release()


@contextmanager
def _lock_server(address: str, name: str) -> Iterator[None]:
    with _explained(address):
        # Imported here because most sweeps are stored in a file.
        import psycopg

        connection = psycopg.connect(address, connect_timeout=CONNECT_SECONDS, autocommit=True)
    key = int.from_bytes(hashlib.sha256(f"fer sweep {name}".encode()).digest()[:8], "big", signed=True)
    with connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        yield


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn any exception raised while opening a storage into a `StorageError`."""
    try:
        yield
    except Exception as error:
        reason = _first_line(error)
        raise StorageError(f"sweep.storage: {address} cannot be opened: {reason}{_hint(address)}") from error


def _hint(address: str) -> str:
    if not address.startswith("postgresql:"):
        return " Check that it is the file of a sweep, and that you have permission to write to it."
    return (
        " Check that the server is running, and that user and database exist. The password is read from "
        "PGPASSWORD or ~/.pgpass."
    )


def _first_line(error: BaseException) -> str:
    cause: Any = getattr(error, "orig", None) or error.__cause__ or error
    text = " ".join((str(cause).strip() or type(cause).__name__).split())
    return text if text.endswith((".", "?")) else f"{text}."
