"""The registry: numbers are taken once, whoever writes, and whatever dies."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
from written_bundle import write_bundle

from fer.bundle.files import FILES, MODEL, read_bundle
from fer.bundle.registry import Registry
from fer.errors import FerError

REGISTER = """
import sys
from pathlib import Path
from fer.bundle.files import read_bundle
from fer.bundle.registry import Registry
for _ in range(int(sys.argv[3])):
    Registry(Path(sys.argv[1])).register(read_bundle(sys.argv[2]))
"""
DIE = """
import os, signal
import fer.bundle.registry
fer.bundle.registry._take = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
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


def test_a_number_that_an_alias_stands_for_is_never_given_again(registry, bundle):
    registry.register(bundle)
    registry.register(bundle)
    registry.promote("tiny:2")
    shutil.rmtree(registry.folder / "tiny" / "2")
    assert registry.register(bundle).card.version == 3
    with pytest.raises(FerError, match="no version 'best'"):
        registry.find("tiny:best")


def test_a_damaged_alias_hides_no_other(registry, bundle):
    registry.register(bundle)
    registry.promote("tiny:1")
    (registry.folder / "tiny" / "old.json").write_text("{")
    assert registry.aliases("tiny") == {"latest": 1, "best": 1}


def test_what_is_in_the_registry_is_found(registry, bundle, tmp_path):
    for _ in range(3):
        registry.register(bundle)
    other = write_bundle(tmp_path / "other", name="other")
    registry.register(other)
    registry.promote("tiny:2")
    assert registry.names() == ["other", "tiny"]
    assert registry.aliases("tiny") == {"latest": 3, "best": 2}
    for reference, version in {"tiny": 3, "tiny:1": 1, "tiny:best": 2, "tiny:latest": 3}.items():
        assert registry.find(reference).card.version == version


@pytest.mark.parametrize(
    ("reference", "said"),
    [("tinny", "Did you mean 'tiny'"), ("tiny:9", "1, latest"), ("tiny:best", "1, latest"), ("", "tiny")],
)
def test_what_is_not_there_names_what_is(registry, bundle, reference, said):
    registry.register(bundle)
    with pytest.raises(FerError, match=said):
        registry.find(reference)


def test_an_empty_registry_says_so(registry):
    assert registry.names() == []
    with pytest.raises(FerError, match="none"):
        registry.find("tiny")


def test_promotion_moves_an_alias(registry, bundle):
    registry.register(bundle)
    registry.register(bundle)
    assert registry.promote("tiny:1", "best") is None
    assert registry.promote("tiny:2", "best") == 1
    assert registry.promote("tiny:1", "shop-window") is None
    assert registry.aliases("tiny") == {"latest": 2, "best": 2, "shop-window": 1}


@pytest.mark.parametrize("alias", ["latest", "2", "../best", "Best", ""])
def test_an_alias_is_a_word(registry, bundle, alias):
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


def test_a_damaged_alias_is_named(registry, bundle):
    registry.register(bundle)
    registry.promote("tiny:1")
    (registry.folder / "tiny" / "best.json").write_text("{")
    with pytest.raises(FerError, match=r"best\.json.*Promote again"):
        registry.find("tiny:best")
    assert registry.find("tiny").card.version == 1  # the others do not suffer
    assert registry.promote("tiny:1") is None  # and the advice helps
    assert registry.find("tiny:best").card.version == 1


def test_a_full_disk_takes_no_number(registry, bundle, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(FerError, match=r"cannot be written \(No space left"):
        registry.register(bundle)
    assert registry.versions("tiny") == []


def test_writers_side_by_side_take_each_number_once(registry, bundle):
    command = [sys.executable, "-c", REGISTER, str(registry.folder), str(bundle.folder), "8"]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert registry.versions("tiny") == list(range(1, 33))
    assert [registry.find(f"tiny:{n}").card.version for n in range(1, 33)] == list(range(1, 33))
    assert not [path for path in (registry.folder / "tiny").iterdir() if path.name.startswith(".")]


def test_a_killed_writer_takes_no_number(registry, bundle):
    registry.register(bundle)
    command = [sys.executable, "-c", DIE + REGISTER, str(registry.folder), str(bundle.folder), "1"]
    assert subprocess.run(command, env=dict(os.environ)).returncode == -signal.SIGKILL
    assert registry.versions("tiny") == [1]
    assert registry.register(bundle).card.version == 2


def test_a_registry_that_cannot_be_written_says_so(registry, bundle):
    registry.folder.parent.mkdir(exist_ok=True)
    registry.folder.write_text("a file in the way")
    with pytest.raises(FerError, match="cannot be written"):
        registry.register(bundle)
