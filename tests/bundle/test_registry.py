"""The registry: each version number is used once, also with concurrent or killed writers."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tiny_bundle import write_bundle

from fer.bundle.files import FILES, MODEL, read_bundle
from fer.bundle.registry import Registry
from fer.core.errors import FerError

REGISTER = """
import sys
from pathlib import Path
from fer.bundle.files import read_bundle
from fer.bundle.registry import Registry
for _ in range(int(sys.argv[3])):
    Registry(Path(sys.argv[1])).register(read_bundle(sys.argv[2]))
"""
KILLED = """
import os, signal
import fer.bundle.registry
fer.bundle.registry._claim = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def test_versions_count_from_one(registry, bundle):
    first, second = registry.register(bundle), registry.register(bundle)
    assert [entry.card.version for entry in (first, second)] == [1, 2]
    assert second.folder == registry.folder / "tiny" / "2"
    assert {path.name for path in second.folder.iterdir()} == FILES
    assert bundle.card.version == read_bundle(bundle.folder).card.version == 0
    assert second.model_path.read_bytes() == bundle.model_path.read_bytes()
    assert "version 2" in (second.folder / "README.md").read_text()


def test_the_name_of_a_model_of_the_package_is_refused(registry, tmp_path):
    with pytest.raises(FerError, match="'fer2013' is a model of the package"):
        registry.register(write_bundle(tmp_path / "bundle", name="fer2013"))
    assert not registry.folder.exists()


def test_the_number_of_a_deleted_version_with_an_alias_is_not_reused(registry, bundle):
    registry.register(bundle)
    registry.register(bundle)
    registry.promote("tiny:2")
    shutil.rmtree(registry.folder / "tiny" / "2")
    assert registry.register(bundle).card.version == 3
    with pytest.raises(FerError, match="no version 'best'"):
        registry.load("tiny:best")


def test_a_damaged_alias_does_not_hide_others(registry, bundle):
    registry.register(bundle)
    registry.promote("tiny:1")
    (registry.folder / "tiny" / "old.json").write_text("{")
    assert registry.aliases("tiny") == {"latest": 1, "best": 1}


def test_versions_are_found_by_number_and_alias(registry, bundle, tmp_path):
    for _ in range(3):
        registry.register(bundle)
    other = write_bundle(tmp_path / "other", name="other")
    registry.register(other)
    registry.promote("tiny:2")
    assert registry.names() == ["other", "tiny"]
    assert registry.aliases("tiny") == {"latest": 3, "best": 2}
    for reference, version in {"tiny": 3, "tiny:1": 1, "tiny:best": 2, "tiny:latest": 3}.items():
        assert registry.load(reference).card.version == version


@pytest.mark.parametrize(
    ("reference", "message"),
    [("tinny", "Did you mean 'tiny'"), ("tiny:9", "1, latest"), ("tiny:best", "1, latest"), ("", "tiny")],
)
def test_an_unknown_reference_lists_the_existing_ones(registry, bundle, reference, message):
    registry.register(bundle)
    with pytest.raises(FerError, match=message):
        registry.load(reference)


def test_an_empty_registry(registry):
    assert registry.names() == []
    with pytest.raises(FerError, match="none"):
        registry.load("tiny")


def test_promotion_moves_an_alias(registry, bundle):
    registry.register(bundle)
    registry.register(bundle)
    assert registry.promote("tiny:1", "best") is None
    assert registry.promote("tiny:2", "best") == 1
    assert registry.promote("tiny:1", "production-a") is None
    assert registry.aliases("tiny") == {"latest": 2, "best": 2, "production-a": 1}


@pytest.mark.parametrize("alias", ["latest", "2", "../best", "Best", "", "nul", "a."])
def test_invalid_aliases_are_rejected(registry, bundle, alias):
    registry.register(bundle)
    with pytest.raises(FerError, match="--alias"):
        registry.promote("tiny:1", alias)
    assert registry.aliases("tiny") == {"latest": 1}


def test_a_damaged_version_is_not_promoted(registry, bundle):
    entry = registry.register(bundle)
    (entry.folder / MODEL).write_bytes(b"changed")
    with pytest.raises(FerError, match="SHA-256"):
        registry.promote("tiny:1")
    assert registry.aliases("tiny") == {"latest": 1}


def test_a_damaged_alias_is_named_in_the_error(registry, bundle):
    registry.register(bundle)
    registry.promote("tiny:1")
    (registry.folder / "tiny" / "best.json").write_text("{")
    with pytest.raises(FerError, match=r"best\.json.*Promote again"):
        registry.load("tiny:best")
    # Other references still work, and promoting again replaces the file.
    assert registry.load("tiny").card.version == 1
    assert registry.promote("tiny:1") is None
    assert registry.load("tiny:best").card.version == 1


def test_a_full_disk_makes_no_version(registry, bundle, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(FerError, match=r"cannot be written \(No space left"):
        registry.register(bundle)
    assert registry.versions("tiny") == []


def test_concurrent_writers_get_different_versions(registry, bundle):
    command = [sys.executable, "-c", REGISTER, str(registry.folder), str(bundle.folder), "8"]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert registry.versions("tiny") == list(range(1, 33))
    assert [registry.load(f"tiny:{n}").card.version for n in range(1, 33)] == list(range(1, 33))
    assert not [path for path in (registry.folder / "tiny").iterdir() if path.name.startswith(".")]


def test_a_killed_writer_makes_no_version(registry, bundle):
    registry.register(bundle)
    command = [sys.executable, "-c", KILLED + REGISTER, str(registry.folder), str(bundle.folder), "1"]
    assert subprocess.run(command, env=dict(os.environ)).returncode == -signal.SIGKILL
    assert registry.versions("tiny") == [1]
    assert registry.register(bundle).card.version == 2


def test_an_unwritable_registry_is_an_error(registry, bundle):
    registry.folder.parent.mkdir(exist_ok=True)
    registry.folder.write_text("a file in the way")
    with pytest.raises(FerError, match="cannot be written"):
        registry.register(bundle)
