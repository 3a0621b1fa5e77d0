"""The storage behind a sweep: opened, locked, and its troubles in plain words."""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fer.errors import FerError
from fer.sweep.address import file_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")
CONNECT_SECONDS = 3  # to reach a server, by each of the addresses that its name has
BUSY_SECONDS = 60  # that a SQLite file may be held by others
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds; a server that starts anew is back by then


class StorageError(FerError):
    """A storage cannot be reached."""


def patiently(call: Callable[[], T]) -> T:
    """Return what a call to a storage returns; while that is away, call again, for a minute.

    Args:
        call: May be called again after it failed in the middle.

    Raises:
        StorageError: It is still away, or one of Optuna's or SQLAlchemy's errors.
    """
    for pause in _PAUSES:
        try:
            return call()
        except _lost():
            time.sleep(pause)
    try:
        return call()
    except away():
        raise
    except _lost() as error:
        raise StorageError(f"The storage of the sweep is away: {_first_line(error)}") from error


def away() -> tuple[type[Exception], ...]:
    """Return what is raised while a storage is away."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return StorageError, StorageInternalError, SQLAlchemyError


def _lost() -> tuple[type[Exception], ...]:
    """Return `away` and what a disk or a server that goes away raises by itself."""
    server = [sys.modules["psycopg"].Error] if "psycopg" in sys.modules else []
    return (*away(), OSError, *server)


def open_storage(address: str) -> "BaseStorage":
    """Open a storage, made where there is none yet; to be called under `lock` the first time.

    Args:
        address: As `fer.sweep.address.full_address` returns it.

    Raises:
        FerError: It cannot be reached, or is something else.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    with _explained(address):
        file = file_of(address)
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
    """Keep all others, on this and other machines, from the books of a study; the lock dies with its holder.

    Raises:
        FerError: The storage cannot be reached.
    """
    file = file_of(address)
    with _lock_server(address, name) if file is None else _lock_file(file, address):
        yield


@contextmanager
def _lock_file(file: Path, address: str) -> Iterator[None]:
    with _explained(address):
        handle = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with _explained(address):
            fcntl.flock(handle, fcntl.LOCK_EX)  # over NFS too, since Linux 2.6.12
        yield
    finally:
        os.close(handle)


@contextmanager
def _lock_server(address: str, name: str) -> Iterator[None]:
    with _explained(address):
        import psycopg

        connection = psycopg.connect(address, connect_timeout=CONNECT_SECONDS, autocommit=True)
    key = int.from_bytes(hashlib.sha256(f"fer sweep {name}".encode()).digest()[:8], "big", signed=True)
    with connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        yield


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Put what opening a storage may raise into one message."""
    try:
        yield
    except Exception as error:
        reason = _first_line(error)
        raise StorageError(
            f"sweep.storage: {address} cannot be opened: {reason}{_advice(address)}"
        ) from error


def _advice(address: str) -> str:
    if not address.startswith("postgresql:"):
        return " Is it the file of a sweep, and may you write there?"
    return " Is the server up, and are user and database right? A password: PGPASSWORD or ~/.pgpass."


def _first_line(error: BaseException) -> str:
    cause: Any = getattr(error, "orig", None) or error.__cause__ or error
    text = " ".join((str(cause).strip() or type(cause).__name__).split())
    return text if text.endswith((".", "?")) else f"{text}."
