import os
import warnings

import numpy as np
import pytest
from picture_layouts import faces, write_folder

from fer.data.folder import read_folder
from fer.data.picture_set import hold
from fer.data.pictures import ImageFiles
from fer.data.splits import indices, manifest
from fer.errors import FerError

OPTIONS = {"val_fraction": 0.25, "split_seed": 0, "memory_gb": 2.0, "skip_corrupt": False}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    return write_folder(tmp_path / "set")


def held(folder, size=48, **options):
    return hold(read_folder(folder, size, color=True), OPTIONS | options)


def names(folder, data, role):
    files = read_folder(folder, 48).images.files
    return {files.name(row) for row in indices(data, role)}


def test_in_memory_and_on_disk_are_the_same_set(folder):
    memory, disk = held(folder), held(folder, memory_gb=0)
    assert isinstance(memory.images, np.ndarray)
    assert isinstance(disk.images, ImageFiles)
    np.testing.assert_array_equal(memory.images, disk.images[:])
    np.testing.assert_array_equal(memory.targets, disk.targets)
    np.testing.assert_array_equal(memory.split, disk.split)
    assert (memory.roles, memory.split_names) == (disk.roles, disk.split_names)


def test_limit_is_the_bytes_decoded(folder):
    exact = 42 * 48 * 48 * 3 / 1e9
    assert isinstance(held(folder, memory_gb=exact).images, np.ndarray)
    assert isinstance(held(folder, memory_gb=exact - 1e-9).images, ImageFiles)


def test_validation_part_is_the_same_at_any_size(folder):
    wanted = names(folder, held(folder), "val")
    assert len(wanted) == 7  # a quarter of four faces for each of seven emotions
    for options in ({"size": 24}, {"memory_gb": 0}):
        assert names(folder, held(folder, **options), "val") == wanted
    assert names(folder, held(folder, split_seed=1), "val") != wanted


def test_copies_of_a_file_stay_on_one_side(folder):
    for path in list((folder / "train").rglob("*.png")):
        for copy in range(3):
            (path.parent / f"copy{copy}_{path.name}").write_bytes(path.read_bytes())
    data = held(folder, val_fraction=0.3, memory_gb=0)
    drawn = {role: {name[-6:] for name in names(folder, data, role)} for role in ("train", "val")}
    assert drawn["val"]
    assert not drawn["train"] & drawn["val"]


def test_published_validation_part_is_kept(folder):
    (folder / "test").rename(folder / "val")
    assert held(folder).roles == {"train": "train", "val": "val"}


def test_second_start_does_not_decode(folder, monkeypatch):
    first = held(folder)
    monkeypatch.setattr(ImageFiles, "read_all", lambda self: pytest.fail("decoded again"))
    second = held(folder)
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
def test_changed_folder_is_decoded_anew(folder, change, monkeypatch):
    held(folder)
    change(folder)
    expected = held(folder, memory_gb=0)
    decoded = []
    read_all = ImageFiles.read_all
    monkeypatch.setattr(ImageFiles, "read_all", lambda self: decoded.append(1) or read_all(self))
    data = held(folder)
    assert decoded
    np.testing.assert_array_equal(data.images, expected.images[:])
    np.testing.assert_array_equal(data.targets, expected.targets)


def spoil(folder):
    (folder / "train" / "sad" / "empty.png").write_bytes(b"")
    (folder / "train" / "sad" / "notes.txt").write_text("not a picture")
    (folder / "test" / "sad" / "empty.png").write_bytes(b"")


@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_unreadable_files_are_named_in_one_error(folder, memory_gb):
    spoil(folder)
    with pytest.raises(FerError, match=r"3 of 45 files .*train/sad/empty.png \(empty\), train/sad/notes.txt"):
        held(folder, memory_gb=memory_gb)


@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_unreadable_files_are_left_out_on_demand(folder, memory_gb):
    spoil(folder)
    with pytest.warns(UserWarning, match="3 of 45 files .* Going on without them"):
        data = held(folder, memory_gb=memory_gb, skip_corrupt=True)
    assert len(data) == 42
    np.testing.assert_array_equal(np.sort(data.images[:], axis=0), np.sort(faces()[0].images, axis=0))
    assert data.dropped == {"unreadable file": 2}  # those of the test part are not told


@pytest.mark.filterwarnings("ignore:.*Going on without them")
@pytest.mark.parametrize("memory_gb", [2.0, 0])
def test_a_validation_part_without_a_readable_file_is_carved_anew(folder, memory_gb):
    (folder / "val" / "happy").mkdir(parents=True)
    (folder / "val" / "happy" / "a.png").write_bytes(b"")
    data = held(folder, memory_gb=memory_gb, skip_corrupt=True)
    assert "carve-out" in data.roles["val"]
    assert len(indices(data, "val")) > 0


def test_no_readable_file_at_all(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(FerError, match="42 of 42 files"):
        held(folder, skip_corrupt=True)


def test_copies_stay_on_one_side_of_a_large_set_too(folder, monkeypatch):
    """Of which no more than the start of each file is read."""
    for path in sorted((folder / "train").rglob("*.png")):
        path.with_stem(f"{path.stem}_copy").write_bytes(path.read_bytes())
    monkeypatch.setattr("fer.data.file_list._FEW", 10)
    for memory_gb in (0.0, 2.0):
        data = held(folder, memory_gb=memory_gb)
        val, train = (names(folder, data, role) for role in ("val", "train"))
        assert len(val) == 14
        assert not {name.replace("_copy", "") for name in val} & {name.replace("_copy", "") for name in train}


def test_manifest_of_files_names_paths_and_sizes(folder, monkeypatch):
    data = held(folder, memory_gb=0)
    monkeypatch.setattr(ImageFiles, "read_one", lambda self, row: pytest.fail("decoded"))
    first = manifest(data)["splits"]["train"]
    assert set(first) == {"split", "count", "files_sha256", "class_counts", "labels_sha256"}
    next((folder / "train").rglob("*.png")).write_bytes(b"longer than before" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert manifest(held(folder, memory_gb=0))["splits"]["train"]["files_sha256"] != first["files_sha256"]


@pytest.mark.parametrize("fraction", [0, 1.0])
def test_fraction_out_of_range(folder, fraction):
    with pytest.raises(FerError, match="validation fraction between 0 and 1"):
        held(folder, val_fraction=fraction)
