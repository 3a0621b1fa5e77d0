"""Storage addresses, and that no password is written to a file or message."""

import errno
import os
from pathlib import Path

import pytest

from fer.core.command_line import without_password
from fer.core.errors import FerError
from fer.sweep import storage
from fer.sweep.compose import format_override
from fer.sweep.storage import full_address, storage_file


@pytest.mark.parametrize(
    ("text", "expected", "password"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me@host:5432/db", "secret"),
        ("sweep.storage=postgres://me:p%40ss@host/db", "sweep.storage=postgres://me@host/db", "p@ss"),
        ("postgresql+psycopg://me:a/b#c?d:e@f@host/db", "postgresql+psycopg://me@host/db", "a/b#c?d:e@f"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me", "secret"),
        ("postgresql://host/db?password=secret&user=me", "postgresql://host/db?user=me", "secret"),
        ('s="postgresql://h/db?user=me&password=p"', 's="postgresql://h/db?user=me"', "p"),
        ("s='postgresql://h/db?password=p&user=me'", "s='postgresql://h/db?user=me'", "p"),
        ('{storage:"postgresql://h/db?password=p"}', '{storage:"postgresql://h/db"}', "p"),
        ("postgresql://h/db?password=a&user=me&password=b", "postgresql://h/db?user=me", "b"),
        ("postgresql://me:p@h/db?application_name=a@b", "postgresql://me@h/db?application_name=a@b", "p"),
        ("postgresql://me@host/db", "postgresql://me@host/db", None),
        ("name=a:b@c", "name=a:b@c", None),
    ],
)
def test_password_moves_to_the_environment(text, expected, password, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert without_password(text) == expected
    assert os.environ.get("PGPASSWORD") == password


def test_full_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert full_address(None, Path("sweep")) == f"sqlite:///{tmp_path}/sweep/sweep.db"
    assert full_address("sqlite:///other.db", tmp_path) == f"sqlite:///{tmp_path}/other.db"
    assert full_address("journal:other.log", tmp_path) == f"journal:{tmp_path}/other.log"
    assert full_address("postgres://me@host/db", tmp_path) == "postgresql://me@host/db"
    assert storage_file("journal:/a/b") == Path("/a/b")
    assert storage_file("sqlite:////a/b") == Path("/a/b")
    assert storage_file("postgresql://host/db") is None


@pytest.mark.parametrize(
    "address", ["mysql://host/db", "sweep.db", "journal:", "sqlite:", "journal:/no/such/a", 5, ["sweep.db"]]
)
def test_unknown_addresses_are_rejected(address, tmp_path):
    with pytest.raises(FerError, match=r"^sweep\.storage"):
        full_address(address, tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "mysql://me:s3cret@host/db",
        "postgresql:/me:s3cret@h/db",
        "mysql://h/db?user=me&password=s3cret",
        "me:s3cret@h",
    ],
)
def test_error_does_not_contain_the_password(address, tmp_path):
    with pytest.raises(FerError, match=r"\*\*\*") as caught:
        full_address(address, tmp_path)
    assert "s3cret" not in str(caught.value)


def test_storage_operation_is_retried_until_the_disk_is_back(monkeypatch):
    pauses = []
    monkeypatch.setattr(storage.time, "sleep", pauses.append)
    answers = iter([OSError("Stale file handle"), OSError("Stale file handle"), None])

    def call():
        if error := next(answers):
            raise error
        return "result"

    assert storage.with_retries(call) == "result"
    assert pauses == [1.0, 2.0]


def test_key_password_is_rejected_and_not_in_the_error(tmp_path):
    with pytest.raises(FerError, match=r"sslpassword= .*service=NAME") as caught:
        full_address("postgresql://me@h/db?sslpassword=s3cret", tmp_path)
    assert "s3cret" not in str(caught.value)


def test_disk_that_stays_unreachable_is_a_storage_error(monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)

    def call():
        raise OSError("Stale file handle")

    with pytest.raises(storage.StorageError, match="Stale file handle"):
        storage.with_retries(call)


def test_non_ascii_letters_reach_the_config():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    item = format_override("output_dir", "/tmp/jörg’s run")
    (parsed,) = OverridesParser.create().parse_overrides([item])
    assert parsed.value() == "/tmp/jörg’s run"


def test_disk_without_locks_is_explained(tmp_path, monkeypatch):
    def no_locks(handle, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    address = f"journal:{tmp_path}/sweep.log"
    with pytest.raises(FerError, match=r"cannot be opened: .*No locks available"):
        storage.lock(address, "some").__enter__()
