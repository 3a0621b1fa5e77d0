"""Cache folder and cache keys."""

import os

import pytest

from fer.core.paths import cache_folder
from fer.data.cache import file_key, generated_key


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "explicit"))
    assert cache_folder() == tmp_path / "explicit"
    monkeypatch.delenv("FER_CACHE_DIR")
    assert cache_folder() == tmp_path / "xdg" / "fer"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "fer"


def test_file_key_changes_with_the_file_and_the_reader(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("1")
    key = file_key(path, "reader", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(path)
    assert file_key("a.csv", "reader", 1) == file_key("link", "reader", 1) == key
    os.utime(path, ns=(1, 1))
    touched = file_key(path, "reader", 1)
    path.write_text("12")
    os.utime(path, ns=(1, 1))
    others = [touched, file_key(path, "reader", 1), file_key(path, "reader", 2), file_key(path, "other", 1)]
    assert len({k.filename for k in [key, *others]}) == 5
    assert [k.source == key.source for k in others] == [True, True, True, False]


@pytest.mark.parametrize("path", ["gone.csv", "a\0b", "loop"])
def test_file_key_of_an_invalid_path_has_an_empty_state(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert file_key(path, "reader", 1).state == "[1, []]"


def test_generated_key_does_not_depend_on_argument_order():
    key = generated_key("synthetic", {"seed": 1, "size": 48}, 1)
    assert generated_key("synthetic", {"size": 48, "seed": 1}, 1) == key
    assert generated_key("synthetic", {"size": 48, "seed": 2}, 1).source != key.source
    assert generated_key("synthetic", {"size": 48, "seed": 1}, 2).source == key.source
