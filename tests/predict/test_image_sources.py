"""Images that fer-predict finds by path and in folders."""

import os

import numpy as np
import pytest
from PIL import Image

from fer.core.errors import FerError
from fer.core.image_io import count_frames, read_image
from fer.predict.sources import count_other_files, list_image_files, print_animations


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
    for name in ("a.jpg", "b.PSD", "c.psd", "d.mp4", ".hidden.psd", "notes.txt", "sub/e.jxl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert count_other_files(tmp_path) == {".psd": 2, ".mp4": 1, ".jxl": 1}


def test_linked_folders_are_followed_once(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for path in (outside / "deep" / "a.png", folder / "b.png", folder / "sub" / "c.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (folder / "link").symlink_to(outside)
    (folder / "again").symlink_to(outside)
    (folder / "inside").symlink_to(folder / "sub")
    (folder / "sub" / "loop").symlink_to(tmp_path)
    (outside / "loop").symlink_to(outside)
    found = [path.relative_to(folder).as_posix() for path in list_image_files(folder)]
    assert len(found) == 3
    assert {"b.png", "sub/c.png"} < set(found)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_animations_are_named(tmp_path, suffix, capsys):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / f"b{suffix}")
    print_animations(list_image_files(tmp_path))
    assert count_frames(tmp_path / f"a{suffix}") == 3
    out = capsys.readouterr().out
    assert out.startswith("animations of which only the first image was used: ")
    assert "(1 in all)" in out
    assert f"a{suffix}" in out
    assert f"b{suffix}" not in out
