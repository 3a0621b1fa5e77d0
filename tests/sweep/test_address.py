"""Where a study is kept, and that its password is written nowhere."""

import errno
import os
from pathlib import Path

import pytest

from fer.errors import FerError
from fer.sweep import storage
from fer.sweep.address import file_of, full_address, without_password
from fer.sweep.compose import override


@pytest.mark.parametrize(
    ("given", "left", "password"),
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
def test_a_password_goes_to_the_environment(given, left, password, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert without_password(given) == left
    assert os.environ.get("PGPASSWORD") == password


def test_addresses_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert full_address(None, Path("sweep")) == f"sqlite:///{tmp_path}/sweep/sweep.db"
    assert full_address("sqlite:///own.db", tmp_path) == f"sqlite:///{tmp_path}/own.db"
    assert full_address("journal:own.log", tmp_path) == f"journal:{tmp_path}/own.log"
    assert full_address("postgres://me@host/db", tmp_path) == "postgresql://me@host/db"
    assert file_of("journal:/a/b") == Path("/a/b")
    assert file_of("sqlite:////a/b") == Path("/a/b")
    assert file_of("postgresql://host/db") is None


@pytest.mark.parametrize(
    "address", ["mysql://host/db", "sweep.db", "journal:", "sqlite:", "journal:/no/such/a", 5, ["sweep.db"]]
)
def test_other_addresses_are_refused(address, tmp_path):
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
def test_a_refusal_does_not_tell_a_password(address, tmp_path):
    with pytest.raises(FerError, match=r"\*\*\*") as found:
        full_address(address, tmp_path)
    assert "s3cret" not in str(found.value)


def test_a_disk_that_comes_back_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(storage.time, "sleep", waited.append)
    answers = iter([OSError("Stale file handle"), OSError("Stale file handle"), None])

    def call():
        if error := next(answers):
            raise error
        return "here"

    assert storage.patiently(call) == "here"
    assert waited == [1.0, 2.0]


def test_a_password_of_a_key_is_refused_and_not_told(tmp_path):
    with pytest.raises(FerError, match=r"sslpassword= .*service=NAME") as found:
        full_address("postgresql://me@h/db?sslpassword=s3cret", tmp_path)
    assert "s3cret" not in str(found.value)


def test_a_disk_that_stays_away_is_a_storage_that_is(monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)

    def call():
        raise OSError("Stale file handle")

    with pytest.raises(storage.StorageError, match="Stale file handle"):
        storage.patiently(call)


def test_letters_of_any_language_reach_the_config():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    word = override("output_dir", "/tmp/jörg’s run")
    (parsed,) = OverridesParser.create().parse_overrides([word])
    assert parsed.value() == "/tmp/jörg’s run"


def test_a_disk_without_locks_is_told_in_words(tmp_path, monkeypatch):
    def no_locks(handle, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(storage.fcntl, "flock", no_locks)
    address = f"journal:{tmp_path}/sweep.log"
    with pytest.raises(FerError, match=r"cannot be opened: .*No locks available"):
        storage.lock(address, "some").__enter__()
