"""Layouts of data sets that people have: other folder names, lists of images, and other numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from fer2013_text import make_rows, to_text, write
from image_layouts import faces, save, write_affectnet_folders, write_folder

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8
from fer.data.config import FER2013Config
from fer.data.readers.affectnet import read_affectnet
from fer.data.readers.factory import read_dataset
from fer.data.readers.fer2013 import read_fer2013
from fer.data.readers.folder import read_folder


def emotions_by_pixels(data):
    """Return image -> emotion, for comparison across layouts."""
    return {data.images[row].tobytes(): data.labels.names[data.targets[row]] for row in range(len(data))}


@pytest.fixture
def expected():
    data, _ = faces()
    return {
        image.tobytes(): data.labels.names[target]
        for image, target in zip(data.images, data.targets, strict=True)
    }


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("Training", "Testing"), {"train": "Training", "test": "Testing"}),
        (("Training", "PublicTest"), {"train": "Training", "val": "PublicTest"}),
        (("Training", "PrivateTest"), {"train": "Training", "test": "PrivateTest"}),
        (("train_set", "Validation"), {"train": "train_set", "val": "Validation"}),
        (("train", "dev"), {"train": "train", "val": "dev"}),
    ],
)
def test_names_of_splits(tmp_path, names, roles, expected):
    write_folder(tmp_path)
    for old, new in zip(("train", "test"), names, strict=True):
        (tmp_path / old).rename(tmp_path / new)
    data = read_folder(tmp_path, 48, color=True)
    assert data.roles == roles
    assert emotions_by_pixels(data) == expected


def test_one_level_too_high(tmp_path, expected):
    write_folder(tmp_path / "archive" / "data")
    data = read_folder(tmp_path, 48, color=True)
    assert emotions_by_pixels(data) == expected
    assert data.source == str(tmp_path / "archive" / "data")


def test_several_data_sets_are_named(tmp_path):
    write_folder(tmp_path / "A")
    write_folder(tmp_path / "B")
    with pytest.raises(FerError, match=r"several that look like data sets: A, B. Give one: datamodule.path="):
        read_folder(tmp_path, 48)


def write_list(path, rows):
    """Write rows, a list of mappings, in the format of the suffix."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], dialect="excel-tab" if path.suffix == ".tsv" else "excel")
            writer.writeheader()
            writer.writerows(rows)


def write_flat(root, suffix=".csv", file="file_name", label="label", value=lambda number: f"{number}.png"):
    """Write ``train/0.png`` … with a list in each part."""
    data, roles = faces()
    for role in ("train", "test"):
        numbers = [number for number, name in enumerate(roles) if name == role]
        for number in numbers:
            save(Path(root) / role / f"{number}.png", data.images[number])
        rows = [{file: value(number), label: data.labels.names[data.targets[number]]} for number in numbers]
        write_list(Path(root) / role / f"metadata{suffix}", rows)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_flat_images_with_metadata(tmp_path, suffix, expected):
    write_flat(tmp_path, suffix)
    data = read_folder(tmp_path, 48, color=True)
    assert data.roles == {"train": "train", "test": "test"}
    assert emotions_by_pixels(data) == expected


@pytest.mark.parametrize("label", ["label", "expression", "emotion"])
@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("path", lambda number: f"./{number}.png"),
        ("number", lambda number: number),
        ("file", lambda number: f"{number}.png"),
        ("pth", lambda number: f"C:\\faces\\{number}.png"),
    ],
)
def test_columns(tmp_path, file, value, label, expected):
    write_flat(tmp_path, file=file, label=label, value=value)
    assert emotions_by_pixels(read_folder(tmp_path, 48, color=True)) == expected


@pytest.mark.parametrize("as_file", [False, True])
def test_one_list_with_a_column_of_splits_and_subjects(tmp_path, as_file, expected):
    data, roles = faces()
    rows = []
    for number, (image, role) in enumerate(zip(data.images, roles, strict=True)):
        save(tmp_path / "images" / f"{number:03}.png", image)
        emotion = data.labels.names[data.targets[number]]
        split = "Training" if role == "train" else "PrivateTest"
        rows.append(
            {"path": f"images/{number:03}.png", "emotion": emotion, "usage": split, "subject": number % 5}
        )
    write_list(tmp_path / "list.csv", rows)
    read = read_folder(tmp_path / "list.csv" if as_file else tmp_path, 48, color=True)
    assert read.roles == {"train": "Training", "test": "PrivateTest"}
    assert emotions_by_pixels(read) == expected
    assert read.groups is not None
    assert read.groups.tolist() == [str(number % 5) for number in range(42)]
    options = {"name": "folder", "path": str(tmp_path), "color": True, "val_fraction": 0.2}
    assert "5 groups: a column of the list" in read_dataset(options).roles["val"]
    assert "5 groups: column subject" in read_dataset({**options, "group": "subject"}).roles["val"]
    assert "groups" not in read_dataset({**options, "group": "none"}).roles["val"]


def test_numbers_in_a_list_need_labels(tmp_path, expected):
    data, _ = faces()
    write_flat(tmp_path)
    for path in tmp_path.rglob("metadata.csv"):
        text = path.read_text()
        for number, name in enumerate(data.labels.names):
            text = text.replace(f",{name}\n", f",{number}\n").replace(f",{name}\r\n", f",{number}\r\n")
        path.write_text(text)
    with pytest.raises(FerError, match=r"expected emotions as names, got numbers.*datamodule\.labels="):
        read_folder(tmp_path, 48)
    assert emotions_by_pixels(read_folder(tmp_path, 48, True, FER7.names)) == expected


def test_missing_files_are_marked(tmp_path):
    write_flat(tmp_path)
    (tmp_path / "train" / "0.png").unlink()
    with pytest.raises(
        FerError, match=r"1 of 42 files cannot be read as images: train/0\.png \(no such file\)"
    ):
        read_dataset({"name": "folder", "path": str(tmp_path)})


SEEN = {
    "flat": (["a.png", "b.png"], r"got 2 images in no such folder\. Move each image"),
    "flat parts": (["train/a.png", "test/b.png"], "got 2 images in no such folder"),
    "detection": (["train/images/a.png", "train/labels/a.txt"], "got the folders images, labels"),
    "other columns": (
        ["train/a.png", "train/list.csv"],
        "list.csv, which has no columns for file and emotion",
    ),
}


@pytest.mark.parametrize("case", SEEN)
def test_what_was_seen_is_named(tmp_path, case):
    names, message = SEEN[case]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x,y\n1,2\n")
    with pytest.raises(FerError, match=message):
        read_folder(tmp_path, 48)


def test_images_inside_a_parquet_file_are_named(tmp_path):
    rows = [{"image": {"bytes": b"x", "path": "a.png"}, "label": 0}]
    write_list(tmp_path / "train-00000.parquet", rows)
    with pytest.raises(FerError, match="a Parquet file that contains the images themselves"):
        read_folder(tmp_path, 48)


@pytest.mark.parametrize(
    ("folders", "numbers"),
    [((0, 2), (0, 2)), ((2, 7), (1, 6)), ((1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5, 6))],
)
def test_some_numbers_of_seven(tmp_path, folders, numbers):
    data, _ = faces()
    for folder in folders:
        save(tmp_path / "test" / str(folder) / "a.png", data.images[0])
    assert read_folder(tmp_path, 48, labels=FER7.names).targets.tolist() == list(numbers)


def test_numbers_that_do_not_say_where_they_start(tmp_path):
    for folder in (1, 2):
        save(tmp_path / "test" / str(folder) / "a.png", faces()[0].images[0])
    with pytest.raises(FerError, match=r"expected an emotion for each number \(1, 2\)"):
        read_folder(tmp_path, 48, labels=FER7.names)


def test_a_csv_file_with_another_label_list(tmp_path):
    rows = make_rows(30)
    rows[3]["emotion"] = "7"
    path = write(tmp_path, to_text(rows))
    with pytest.raises(FerError, match=r"line 5: .*got '7'\. If the file has other .*datamodule\.labels="):
        read_fer2013(path)
    data = read_dataset(FER2013Config(path=str(path), labels=list(FERPLUS8.names)))
    assert data.labels == FERPLUS8
    assert data.targets[3] == 7
    np.testing.assert_array_equal(data.targets, [int(row["emotion"]) for row in rows])
    own = ["contempt", *reversed(FER7.names)]
    assert read_fer2013(path, own).labels.names == tuple(own)


def test_annotations_in_numpy_files_with_png_images(tmp_path):
    write_affectnet_folders(tmp_path)
    before = read_affectnet(tmp_path, 48)
    images = before.images[np.arange(len(before))]
    for path in tmp_path.rglob("*.jpg"):
        path.rename(path.with_suffix(".png"))
    after = read_affectnet(tmp_path, 48)
    np.testing.assert_array_equal(after.images[np.arange(len(after))], images)
    np.testing.assert_array_equal(after.targets, before.targets)


def test_lists_named_after_the_parts(tmp_path, expected):
    """The layout in which RAF-DB is found at Kaggle."""
    data, roles = faces()
    rows = {"train": [], "test": []}
    for number, (image, role) in enumerate(zip(data.images, roles, strict=True)):
        target = int(data.targets[number])
        save(tmp_path / "DATASET" / role / str(target + 1) / f"{role}_{number}.png", image)
        rows[role].append({"image": f"{role}_{number}.png", "label": target + 1})
    for role, lines in rows.items():
        write_list(tmp_path / f"{role}_labels.csv", lines)
    read = read_folder(tmp_path, 48, True, FER7.names)
    assert read.roles == {"train": "train_labels", "test": "test_labels"}
    assert emotions_by_pixels(read) == expected


def test_the_option_that_fits_is_named(tmp_path):
    path = write(tmp_path, to_text(make_rows(3)))
    with pytest.raises(FerError, match=r"datamodule=fer2013 datamodule\.path=.*fer2013\.csv"):
        read_folder(tmp_path, 48)
    path.write_text("path,emotion\na.png,happy\n")
    with pytest.raises(FerError, match="If it is a list of image files: datamodule=folder"):
        read_fer2013(path)
