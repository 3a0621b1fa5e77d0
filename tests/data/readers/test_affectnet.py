"""The reader of AffectNet."""

import shutil

import numpy as np
import pytest
from image_layouts import affectnet_numbers, write_affectnet_folders, write_affectnet_lists

from fer.core.errors import FerError
from fer.core.labels import AFFECTNET8
from fer.data.readers.affectnet import read_affectnet


def check_faces(data, tolerance):
    images, numbers, roles = affectnet_numbers()
    assert data.labels == AFFECTNET8
    assert data.roles == {"train": "training", "val": "validation"}
    assert data.dropped == {"no emotion (none, uncertain or no face)": int((numbers > 7).sum())}
    assert len(data) == (numbers <= 7).sum()
    for row in range(len(data)):
        i = int(data.images.files.name(row).split("/")[-1].split(".")[0])
        assert data.targets[row] == numbers[i]
        assert data.split_names[data.split[row]] == {"train": "training", "val": "validation"}[roles[i]]
        assert np.abs(data.images[row].astype(int) - images[i]).mean() <= tolerance


def test_lists_with_face_boxes(tmp_path):
    check_faces(read_affectnet(write_affectnet_lists(tmp_path), 48), 0)


def test_lists_in_a_separate_folder(tmp_path):
    write_affectnet_lists(tmp_path)
    (tmp_path / "Manually_Annotated_file_lists").mkdir()
    for name in ("training.csv", "validation.csv"):
        shutil.move(tmp_path / name, tmp_path / "Manually_Annotated_file_lists")
    (tmp_path / "Manually_Annotated").mkdir()
    shutil.move(tmp_path / "Manually_Annotated_Images", tmp_path / "Manually_Annotated")
    check_faces(read_affectnet(tmp_path, 48), 0)


def test_annotation_folders(tmp_path):
    check_faces(read_affectnet(write_affectnet_folders(tmp_path), 48), 6)


def test_without_validation(tmp_path):
    write_affectnet_lists(tmp_path)
    (tmp_path / "validation.csv").unlink()
    assert read_affectnet(tmp_path, 48).roles == {"train": "training"}


def test_a_missing_image_is_named(tmp_path):
    write_affectnet_folders(tmp_path)
    (tmp_path / "train_set" / "images" / "5.jpg").unlink()
    with pytest.raises(FerError, match=r"train_set/images/5.jpg \(no such file\)"):
        read_affectnet(tmp_path, 48).images[:]


@pytest.mark.parametrize("value", ["11", "-1", "happy", ""])
def test_invalid_expression_in_a_list(tmp_path, value):
    write_affectnet_lists(tmp_path)
    with (tmp_path / "training.csv").open("a") as file:
        file.write(f"\n1/x.png,0,0,48,48,1;2,{value},0,0\n")
    with pytest.raises(FerError, match=r"training.csv, line 30: expected .*expression from 0 to 10"):
        read_affectnet(tmp_path, 48)


@pytest.mark.parametrize("content", [b"", b"not NumPy", np.array("11"), np.array({}, dtype=object)])
def test_invalid_annotation(tmp_path, content):
    write_affectnet_folders(tmp_path)
    path = tmp_path / "val_set" / "annotations" / "40_exp.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content, allow_pickle=True)
    with pytest.raises(FerError, match=r"40_exp.npy: expected"):
        read_affectnet(tmp_path, 48)


def test_an_extra_quotation_mark(tmp_path):
    path = write_affectnet_lists(tmp_path) / "training.csv"
    first, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, '"' + rows[0], *rows[1:], "padding\n" * 20_000]))
    with pytest.raises(FerError, match=r"training\.csv, line \d+: .*extra quotation mark"):
        read_affectnet(tmp_path, 48)


def test_empty_folder(tmp_path):
    with pytest.raises(FerError, match=r"training.csv: expected AffectNet's list training.csv"):
        read_affectnet(tmp_path, 48)
