"""Datasets of image files, prepared in memory or on disk."""

import os
import warnings

import numpy as np
import pytest
from image_layouts import faces, write_folder

from fer.core.errors import FerError
from fer.data.config import FolderConfig
from fer.data.image_files import ImageFiles
from fer.data.readers.factory import prepare_image_set
from fer.data.readers.folder import read_folder
from fer.data.splits import indices, manifest

CONFIG = FolderConfig(path="", val_fraction=0.25)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    return write_folder(tmp_path / "set")


def load(folder, size=48, **options):
    return prepare_image_set(read_folder(folder, size, color=True), CONFIG.replace(**options))


def names(folder, data, role):
    files = read_folder(folder, 48).images.files
    return {files.name(row) for row in indices(data, role)}


def test_memory_and_disk_give_the_same_dataset(folder):
    memory, disk = load(folder), load(folder, memory_gb=0)
    assert isinstance(memory.images, np.ndarray)
    assert isinstance(disk.images, ImageFiles)
    np.testing.assert_array_equal(memory.images, disk.images[:])
    np.testing.assert_array_equal(memory.targets, disk.targets)
    np.testing.assert_array_equal(memory.split, disk.split)
    assert (memory.roles, memory.split_names) == (disk.roles, disk.split_names)


def test_memory_limit_counts_decoded_bytes(folder):
    exact = 42 * 48 * 48 * 3 / 1e9
    assert isinstance(load(folder, memory_gb=exact).images, np.ndarray)
    assert isinstance(load(folder, memory_gb=exact - 1e-9).images, ImageFiles)


def test_validation_split_does_not_depend_on_the_size(folder):
    expected = names(folder, load(folder), "val")
    # A quarter of four faces for each of seven emotions.
    assert len(expected) == 7
    for options in ({"size": 24}, {"memory_gb": 0}):
        assert names(folder, load(folder, **options), "val") == expected
    assert names(folder, load(folder, split_seed=1), "val") != expected


def test_copies_of_a_file_stay_in_one_split(folder):
    for path in list((folder / "train").rglob("*.png")):
        for copy in range(3):
            (path.parent / f"copy{copy}_{path.name}").write_bytes(path.read_bytes())
    data = load(folder, val_fraction=0.3, memory_gb=0)
    faces_by_role = {role: {name[-6:] for name in names(folder, data, role)} for role in ("train", "val")}
    assert faces_by_role["val"]
    assert not faces_by_role["train"] & faces_by_role["val"]


def test_a_published_validation_split_is_used(folder):
    (folder / "test").rename(folder / "val")
    assert load(folder).roles == {"train": "train", "val": "val"}


def test_the_second_run_does_not_decode(folder, monkeypatch):
    first = load(folder)
    monkeypatch.setattr(ImageFiles, "read_all", lambda self: pytest.fail("the images were decoded again"))
    second = load(folder)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.roles == second.roles


def add(folder):
    (folder / "train" / "sad" / "new.png").write_bytes(next(folder.rglob("*.png")).read_bytes())


def remove(folder):
    next((folder / "train").rglob("*.png")).unlink()


def touch(folder):
    os.utime(next(folder.rglob("*.png")), ns=(1, 1))


def move(folder):
    path = next((folder / "train" / "sad").iterdir())
    path.rename(folder / "train" / "fear" / f"moved_{path.name}")


@pytest.mark.parametrize("change", [add, remove, touch, move])
def test_a_changed_folder_is_decoded_again(folder, change, monkeypatch):
    load(folder)
    change(folder)
    expected = load(folder, memory_gb=0)
    calls = []
    read_all = ImageFiles.read_all
    monkeypatch.setattr(ImageFiles, "read_all", lambda self: calls.append(1) or read_all(self))
    data = load(folder)
    assert calls
    np.testing.assert_array_equal(data.images, expected.images[:])
    np.testing.assert_array_equal(data.targets, expected.targets)


def add_unreadable_files(folder):
    (folder / "train" / "sad" / "empty.png").write_bytes(b"")
    (folder / "train" / "sad" / "notes.txt").write_text("not an image")
    (folder / "test" / "sad" / "empty.png").write_bytes(b"")


@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_unreadable_files_are_named_in_one_error(folder, memory_gb):
    add_unreadable_files(folder)
    with pytest.raises(FerError, match=r"3 of 45 files .*train/sad/empty.png \(empty\), train/sad/notes.txt"):
        load(folder, memory_gb=memory_gb)


@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_unreadable_files_are_skipped_with_skip_corrupt(folder, memory_gb):
    add_unreadable_files(folder)
    with pytest.warns(UserWarning, match="3 of 45 files .* Continuing without them"):
        data = load(folder, memory_gb=memory_gb, skip_corrupt=True)
    assert len(data) == 42
    np.testing.assert_array_equal(np.sort(data.images[:], axis=0), np.sort(faces()[0].images, axis=0))
    # Files of the test split are not counted.
    assert data.dropped == {"unreadable file": 2}


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_validation_is_carved_out_if_no_published_file_is_readable(folder, memory_gb):
    (folder / "val" / "happy").mkdir(parents=True)
    (folder / "val" / "happy" / "a.png").write_bytes(b"")
    data = load(folder, memory_gb=memory_gb, skip_corrupt=True)
    assert "carve-out" in data.roles["val"]
    assert len(indices(data, "val")) > 0


def test_no_readable_file_at_all(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(FerError, match="42 of 42 files"):
        load(folder, skip_corrupt=True)


def test_copies_stay_in_one_split_of_a_large_dataset(folder, monkeypatch):
    """Only the start of each file of a large dataset is read."""
    for path in sorted((folder / "train").rglob("*.png")):
        path.with_stem(f"{path.stem}_copy").write_bytes(path.read_bytes())
    monkeypatch.setattr("fer.data.file_list._MAX_FULLY_READ_FILES", 10)
    for memory_gb in (0.0, 2.0):
        data = load(folder, memory_gb=memory_gb)
        val, train = (names(folder, data, role) for role in ("val", "train"))
        assert len(val) == 14
        assert not {name.replace("_copy", "") for name in val} & {name.replace("_copy", "") for name in train}


def test_manifest_of_files_depends_on_paths_and_sizes(folder, monkeypatch):
    data = load(folder, memory_gb=0)
    monkeypatch.setattr(ImageFiles, "read_one", lambda self, row: pytest.fail("an image was decoded"))
    first = manifest(data)["splits"]["train"]
    assert set(first) == {"split", "count", "files_sha256", "class_counts", "labels_sha256"}
    next((folder / "train").rglob("*.png")).write_bytes(b"longer than before" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert manifest(load(folder, memory_gb=0))["splits"]["train"]["files_sha256"] != first["files_sha256"]


@pytest.mark.parametrize("fraction", [0, 1.0])
def test_fraction_out_of_range(folder, fraction):
    with pytest.raises(FerError, match="validation fraction between 0 and 1"):
        load(folder, val_fraction=fraction)
