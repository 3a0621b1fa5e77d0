"""Images that fer-predict finds by path and in folders."""

import os

import numpy as np
import pytest
from PIL import Image

from fer.core.errors import FerError
from fer.core.image_io import read_image
from fer.predict.sources import count_other_files, list_image_files


def test_unreadable_files(tmp_path):
    with pytest.raises(FerError, match="folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    # It must not wait for a writer.
    with pytest.raises(FerError, match="pipe"):
        read_image(tmp_path / "pipe.png")
    (tmp_path / "face.jpg").write_bytes(b"")
    with pytest.raises(FerError, match=r"face\.jpg: .* empty"):
        read_image(tmp_path / "face.jpg")
    with pytest.raises(FerError, match=r"Did you mean 'face\.jpg'"):
        read_image(tmp_path / "fase.jpg")


def test_image_files_of_a_folder(tmp_path):
    expected = ["a.PNG", "b/c.jpeg", "b/d/e.webp"]
    for name in [*expected, "notes.txt", ".hidden.png", ".trash/f.png", "b/Thumbs.db"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_image_files(tmp_path) == [tmp_path / name for name in expected]


def test_folder_without_images(tmp_path):
    with pytest.raises(FerError, match="none in it"):
        list_image_files(tmp_path)
    with pytest.raises(FerError, match="no such folder"):
        list_image_files(tmp_path / "absent")


def test_a_file_name_may_start_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((2, 3, 3), 7, np.uint8)).save("~copy.png")
    (path,) = list_image_files(".")
    assert read_image(path).shape == (2, 3, 3)


def test_skipped_files_are_counted_by_suffix(tmp_path):
    for name in ("a.jpg", "b.HEIC", "c.heic", "d.mp4", ".hidden.heic", "notes.txt", "sub/e.avif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert count_other_files(tmp_path) == {".heic": 2, ".mp4": 1, ".avif": 1}
