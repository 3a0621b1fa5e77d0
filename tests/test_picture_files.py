"""Pictures by name: files, folders, and what is none."""

import os

import numpy as np
import pytest
from PIL import Image

from fer.errors import FerError
from fer.picture import open_picture, other_files, picture_files


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FerError, match="folder"):
        open_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FerError, match="pipe"):  # and it does not wait
        open_picture(tmp_path / "pipe.png")
    (tmp_path / "face.jpg").write_bytes(b"")
    with pytest.raises(FerError, match=r"face\.jpg: .* empty"):
        open_picture(tmp_path / "face.jpg")
    with pytest.raises(FerError, match=r"Did you mean 'face\.jpg'"):
        open_picture(tmp_path / "fase.jpg")


def test_files_of_a_folder(tmp_path):
    wanted = ["a.PNG", "b/c.jpeg", "b/d/e.webp"]
    for name in [*wanted, "notes.txt", ".hidden.png", ".trash/f.png", "b/Thumbs.db"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert picture_files(tmp_path) == [tmp_path / name for name in wanted]


def test_folder_without_pictures(tmp_path):
    with pytest.raises(FerError, match="none in it"):
        picture_files(tmp_path)
    with pytest.raises(FerError, match="no such folder"):
        picture_files(tmp_path / "absent")


def test_a_file_may_be_called_like_a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((2, 3, 3), 7, np.uint8)).save("~copy.png")
    (path,) = picture_files(".")
    assert open_picture(path).shape == (2, 3, 3)


def test_other_kinds_of_files_are_counted(tmp_path):
    for name in ("a.jpg", "b.HEIC", "c.heic", "d.mp4", ".hidden.heic", "notes.txt", "sub/e.avif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert other_files(tmp_path) == {".heic": 2, ".mp4": 1, ".avif": 1}
