"""Paths as users write them, in functions and on the command lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fer.core.errors import FerError
from fer.core.paths import expand_user, list_names
from fer.faces.yunet import yunet_in_cache


def test_tilde_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_user("~/a.csv") == tmp_path / "a.csv"
    assert expand_user("a~.csv") == Path("a~.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~copy.png").touch()
    assert expand_user("~copy.png") == Path("~copy.png")
    with pytest.raises(
        FerError, match=re.escape("the home folder of no-such-user is unknown. Write the path in full")
    ):
        expand_user("~no-such-user/a.csv")


def test_yunet_cache_with_an_unknown_home_is_none(monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", "~no-such-user/cache")
    assert yunet_in_cache() is None


def test_list_names_is_empty_where_nothing_can_be_listed(tmp_path):
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    assert list_names(tmp_path) == ["a", "b"]
    assert list_names(tmp_path / "a") == list_names(tmp_path / "absent") == []


COMMANDS = {
    "fer.predict.cli": (["a.png", "--model", "x" * 300], "cannot be opened"),
    "fer.export.cli": (["~no-such-user/run"], "the home folder of no-such-user is unknown"),
    "fer.bundle.cli": (["--registry", "~no-such-user", "list"], "the home folder of no-such-user is unknown"),
}


@pytest.mark.parametrize("module", COMMANDS)
def test_invalid_path_is_one_error_line(module, tmp_path):
    arguments, message = COMMANDS[module]
    Image.new("L", (48, 48)).save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
