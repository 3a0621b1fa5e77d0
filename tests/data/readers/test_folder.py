"""The reader of image folders."""

import numpy as np
import pytest
from image_layouts import faces, save, write_folder

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, RAFDB7
from fer.data.readers.folder import read_folder
from fer.data.splits import check_training_classes


def check_faces(data):
    """Check that the dataset has the synthetic faces with their emotions and splits."""
    expected, roles = faces()
    for row in range(len(data)):
        number = int(data.images.files.name(row)[-6:-4])
        assert data.labels.names[data.targets[row]] == expected.labels.names[expected.targets[number]]
        assert data.roles[roles[number]] == data.split_names[data.split[row]]
        np.testing.assert_array_equal(data.images[row], expected.images[number])


def test_train_and_test(tmp_path):
    data = read_folder(write_folder(tmp_path), 48, color=True)
    assert len(data) == 42
    assert data.roles == {"train": "train", "test": "test"}
    assert data.labels == FER7
    check_faces(data)


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_validation_folder(tmp_path, name):
    write_folder(tmp_path)
    (tmp_path / "test").rename(tmp_path / name)
    assert read_folder(tmp_path, 48).roles == {"train": "train", "val": name}


def test_an_empty_validation_folder_is_ignored(tmp_path):
    write_folder(tmp_path)
    for name in ("angry", "happy"):
        (tmp_path / "val" / name).mkdir(parents=True)
    assert read_folder(tmp_path, 48).roles == {"train": "train", "test": "test"}


def test_class_folders_without_splits_are_all_train(tmp_path):
    data = read_folder(write_folder(tmp_path) / "train", 48, color=True)
    assert (len(data), data.roles) == (28, {"train": "all"})
    assert set(data.split) == {0}


def test_aliases_of_emotions(tmp_path):
    aliases = {"angry": "Anger", "happy": "HAPPINESS", "sad": "sadness", "fear": "Fearful"}
    data = read_folder(write_folder(tmp_path, rename=lambda name: aliases.get(name, name)), 48, color=True)
    check_faces(data)


def test_contempt_gives_the_label_space_of_eight(tmp_path):
    write_folder(tmp_path)
    save(tmp_path / "train" / "contempt" / "x.png", faces()[0].images[0])
    data = read_folder(tmp_path, 48)
    assert data.labels == FERPLUS8
    assert [
        data.images.files.name(row) for row in np.flatnonzero(data.targets == FERPLUS8.index("contempt"))
    ] == ["train/contempt/x.png"]


@pytest.mark.parametrize("first", [0, 1, 8])
def test_numbered_folders_with_labels(tmp_path, first):
    numbers = {name: str(first + i) for i, name in enumerate(RAFDB7.names)}
    write_folder(tmp_path, rename=numbers.get)
    data = read_folder(tmp_path, 48, color=True, labels=["surprised", *RAFDB7.names[1:]])
    assert data.labels == RAFDB7
    check_faces(data)


def test_labels_set_the_class_order(tmp_path):
    order = tuple(reversed(FER7.names))
    data = read_folder(write_folder(tmp_path), 48, color=True, labels=order)
    assert data.labels.names == order
    check_faces(data)


def empty_folders(root):
    (root / "train" / "angry").mkdir(parents=True)
    (root / "train" / "happy").mkdir()


def one_class(root):
    save(root / "train" / "happy" / "a.png", faces()[0].images[0])


def unknown_class(root):
    write_folder(root, rename=lambda name: "happpy" if name == "happy" else name)


def numbered(root):
    write_folder(root, rename=lambda name: str(FER7.index(name)))


def stray_folder(root):
    write_folder(root)
    (root / "tset").mkdir()


def two_validations(root):
    write_folder(root)
    (root / "val").mkdir()
    (root / "valid").mkdir()


def no_train(root):
    write_folder(root)
    for path in sorted((root / "train").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (root / "train").rmdir()


BAD = {
    empty_folders: "expected images in its folders, but there are none",
    one_class: "expected training images of at least two emotions, got only happy",
    unknown_class: "folder happpy: .*Did you mean 'happy'",
    numbered: r"got numbers \(0, 1, 2, 3, 4, 5, 6\).*datamodule.labels=",
    stray_folder: "expected train, test and at most one of val, valid and validation, got test, train, tset",
    two_validations: "at most one of val",
    no_train: r"expected a training split, got test \(test, 14 images\)",
    lambda root: None: "got no folders",
    lambda root: root.rmdir(): "No such file",
}


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_invalid_folder(tmp_path, write):
    root = tmp_path / "set"
    root.mkdir()
    write(root)
    with pytest.raises(FerError, match=BAD[write]):
        check_training_classes(read_folder(root, 48))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (FER7.names[:6], "expected an emotion for each number"),
        (["angry", "angry", *FER7.names[2:]], "expected different emotions"),
        (["bored", *FER7.names[1:]], "bored"),
    ],
)
def test_invalid_labels(tmp_path, labels, message):
    numbered(tmp_path)
    with pytest.raises(FerError, match=message):
        read_folder(tmp_path, 48, labels=labels)
