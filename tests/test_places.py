"""Paths as people write them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fer.errors import FerError
from fer.faces.download import yunet_in_cache
from fer.places import at_home, names_in


def test_homes(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert at_home("~/a.csv") == tmp_path / "a.csv"
    assert at_home("a~.csv") == Path("a~.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~copy.png").touch()
    assert at_home("~copy.png") == Path("~copy.png")
    with pytest.raises(FerError, match=re.escape("no home folder is known of no-such-user. Write it out")):
        at_home("~no-such-user/a.csv")


def test_a_cache_without_a_home_is_none(monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", "~no-such-user/cache")
    assert yunet_in_cache() is None


def test_what_cannot_be_listed_has_no_names(tmp_path):
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    assert names_in(tmp_path) == ["a", "b"]
    assert names_in(tmp_path / "a") == names_in(tmp_path / "absent") == []


COMMANDS = {
    "fer.predict_cli": (["a.png", "--model", "x" * 300], "cannot be looked up"),
    "fer.export": (["~no-such-user/run"], "no home folder is known of no-such-user"),
    "fer.models_cli": (["--registry", "~no-such-user", "list"], "no home folder is known of no-such-user"),
}


@pytest.mark.parametrize("module", COMMANDS)
def test_paths_that_cannot_be_end_in_one_line(module, tmp_path):
    words, message = COMMANDS[module]
    Image.new("L", (48, 48)).save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
