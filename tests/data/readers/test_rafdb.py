"""The reader of RAF-DB."""

import numpy as np
import pytest
from image_layouts import faces, write_rafdb

from fer.core.errors import FerError
from fer.core.labels import RAFDB7
from fer.data.readers.rafdb import read_rafdb


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (".", "aligned"),
        ("EmoLabel", "Image/aligned"),
        ("basic", "basic/aligned"),
        ("basic/EmoLabel", "basic/Image/aligned"),
    ],
)
def test_official_layout(tmp_path, labels, images):
    data = read_rafdb(write_rafdb(tmp_path, labels, images), 48)
    expected, roles = faces()
    assert data.labels == RAFDB7
    assert [data.labels.names[i] for i in data.targets] == [
        expected.labels.names[i] for i in expected.targets
    ]
    assert [data.split_names[i] for i in data.split] == roles
    assert data.roles == {"train": "train", "test": "test"}
    error = np.abs(data.images[:].astype(int) - expected.images)
    # JPEG is lossy.
    assert error.mean() < 6
    assert data.images.files.name(0).endswith("aligned/train_00001_aligned.jpg")


def test_labels_start_at_one(tmp_path):
    write_rafdb(tmp_path)
    (tmp_path / "list_patition_label.txt").write_text("train_00001.jpg 1\ntrain_00002.jpg 7\n")
    data = read_rafdb(tmp_path, 48)
    assert [data.labels.names[i] for i in data.targets] == ["surprise", "neutral"]


def test_missing_images_are_named(tmp_path):
    write_rafdb(tmp_path)
    (tmp_path / "aligned" / "train_00003_aligned.jpg").unlink()
    with pytest.raises(FerError, match=r"1 of 42 files.*aligned/train_00003_aligned.jpg \(no such file\)"):
        read_rafdb(tmp_path, 48).images[:]


@pytest.mark.parametrize(
    "line", ["train_00001.jpg 0", "train_00001.jpg 8", "train_00001.jpg", "x.jpg 3", "a b c"]
)
def test_invalid_line(tmp_path, line):
    write_rafdb(tmp_path)
    (tmp_path / "list_patition_label.txt").write_text(f"train_00001.jpg 1\n{line}\n")
    with pytest.raises(FerError, match=r"list_patition_label.txt, line 2: .*train_00001.jpg 5"):
        read_rafdb(tmp_path, 48)


def test_missing_list_and_images(tmp_path):
    with pytest.raises(FerError, match="expected RAF-DB's list"):
        read_rafdb(tmp_path, 48)
    (tmp_path / "list_patition_label.txt").write_text("train_00001.jpg 1\n")
    with pytest.raises(FerError, match="aligned: expected RAF-DB's aligned images"):
        read_rafdb(tmp_path, 48)
