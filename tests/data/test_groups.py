"""Groups of images that stay together in a carve-out: persons by file name, expression or column."""

from dataclasses import replace

import numpy as np
import pytest
from image_layouts import save

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.config import FolderConfig
from fer.data.dataset import EmotionData
from fer.data.duplicates import check_duplicates, format_summary
from fer.data.groups import Groups, find_groups
from fer.data.readers.factory import read_dataset
from fer.data.splits import carve_validation, indices, manifest

EMOTIONS = ("angry", "happy", "sad")


def write_subjects(root, subjects=12, frames=4, name="S{:03}_{:03}_{:08}.png"):
    """Write frames of each subject and emotion, which differ by little noise."""
    generator = np.random.default_rng(0)
    for subject in range(subjects):
        for number, emotion in enumerate(EMOTIONS):
            face = generator.integers(0, 200, (48, 48, 3))
            for frame in range(frames):
                noisy = face + generator.integers(0, 6, face.shape)
                path = root / emotion / name.format(subject + 5, number + 1, frame + 1)
                save(path, noisy.astype(np.uint8))
    return root


def read(root, **options):
    return read_dataset(FolderConfig(path=str(root), val_fraction=0.25, **options))


def subjects_of(root, data, role):
    """Return the subjects of a role; the order of the rows is that of the files."""
    names = sorted(f"{path.parent.name}/{path.name}" for path in root.rglob("*.png"))
    return {names[row].split("/")[1][:4] for row in indices(data, role)}


def test_subjects_of_ck_stay_together_by_default(tmp_path):
    data = read(write_subjects(tmp_path))
    train, val = (subjects_of(tmp_path, data, role) for role in ("train", "val"))
    assert len(val) == 3
    assert not train & val
    assert data.roles["val"] == "all carve-out (fraction 0.25, seed 0, 12 groups: CK+ subjects)"
    counts = np.bincount(data.targets[indices(data, "val")], minlength=len(FER7))
    assert counts[[FER7.index(name) for name in EMOTIONS]].tolist() == [12, 12, 12]
    assert not format_summary(check_duplicates(data, drop=False)[1])


def test_without_groups_near_copies_are_a_warning(tmp_path):
    data = read(write_subjects(tmp_path), group="none")
    assert data.roles["val"] == "all carve-out (fraction 0.25, seed 0)"
    assert subjects_of(tmp_path, data, "train") & subjects_of(tmp_path, data, "val")
    line = format_summary(check_duplicates(data, drop=False)[1])[0]
    assert line.startswith("WARNING: 36 of 36 validation images have a near copy in train")
    assert "datamodule.group=REGEX" in line


def test_an_expression_names_the_groups(tmp_path):
    root = write_subjects(tmp_path, name="person{:03}-{}-{}.png")
    data = read(root, group=r"(person\d+)-")
    names = sorted(f"{path.parent.name}/{path.name}" for path in root.rglob("*.png"))
    persons = [
        {names[row].split("/")[1].split("-")[0] for row in indices(data, role)} for role in ("train", "val")
    ]
    assert not persons[0] & persons[1]
    assert r"12 groups: (person\d+)-" in data.roles["val"]


@pytest.mark.parametrize(
    ("group", "message"),
    [("(", "got an invalid expression"), ("subject", r"two groups or more, got 0.*paths like 'angry/S005_")],
)
def test_wrong_expressions(tmp_path, group, message):
    with pytest.raises(FerError, match=rf"datamodule\.group=\{group}: |{message}") as error:
        read(write_subjects(tmp_path, subjects=2), group=group)
    assert len(str(error.value).splitlines()) == 1


def test_a_single_subject_is_divided_without_groups(tmp_path):
    root = write_subjects(tmp_path, subjects=1)
    assert read(root).roles["val"] == "all carve-out (fraction 0.25, seed 0)"


NAMES = {
    "CK+ subjects": ["S005_001_00000011.png", "S005_001_00000010.png", "S010_002_00000014.png"],
    "JAFFE subjects": ["KA.AN1.39.tiff", "KA.HA2.30.tiff", "KL.AN1.167.tiff"],
    "KDEF subjects": ["AF01ANS.JPG", "BF01HAS.JPG", "AM02SUFL.JPG"],
    "RaFD subjects": [
        "Rafd090_01_Caucasian_female_angry_frontal.jpg",
        "Rafd045_01_Caucasian_female_happy_left.jpg",
        "Rafd090_02_Caucasian_female_sad_frontal.jpg",
    ],
    "FACES subjects": ["004_o_m_a_a.jpg", "004_o_m_h_b.jpg", "066_y_m_s_a.jpg"],
    "RAVDESS actors": ["01-01-05-01-02-01-12.png", "02-01-03-01-02-01-12.png", "01-01-05-01-02-01-13.png"],
    "CREMA-D actors": ["1001_DFA_ANG_XX.jpg", "1001_IEO_HAP_LO.jpg", "1002_DFA_SAD_XX.jpg"],
    "Oulu-CASIA subjects": ["P001/Anger/000.jpeg", "P001/Anger/001.jpeg", "P002/Happiness/000.jpeg"],
    "SFEW movies": [
        "17Again_000046240_00000014.png",
        "17Again_001154040_00000033.png",
        "21_000530200_00000003.png",
    ],
}


def empty_data(count):
    return EmotionData(
        np.zeros((count, 2, 2, 1), np.uint8),
        np.arange(count) % 2,
        np.zeros(count, np.uint8),
        ("all",),
        {"train": "all"},
        FER7,
        "faces",
    )


@pytest.mark.parametrize("rule", NAMES)
def test_names_of_well_known_sets(rule):
    names = [f"angry/{name}" for name in NAMES[rule]]
    groups = find_groups(empty_data(3), names, np.ones(3, bool), "auto")
    assert groups is not None
    assert groups.rule == rule
    assert groups.numbers.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "name",
    ["train_{:05}_aligned.jpg", "Training_{}.jpg", "im{}.png", "image{:07}.jpg", "PrivateTest_{}.jpg",
     "{:06}.png", "cropped_emotions.{}~angry.png", "angry_{}_happy.jpg"],
)  # fmt: skip
def test_other_names_have_no_groups(name):
    names = [f"angry/{name.format(number)}" for number in range(500)]
    assert find_groups(empty_data(500), names, np.ones(500, bool), "auto") is None


@pytest.mark.parametrize("seed", range(5))
def test_groups_and_copies_stay_together_in_any_order(seed):
    generator = np.random.default_rng(seed)
    data = empty_data(300)
    contents = generator.integers(0, 256, (292, 4), np.uint8)
    images = np.concatenate([contents, contents[:8]]).reshape(300, 2, 2, 1)
    targets = generator.integers(0, 3, 300)
    data = replace(data, images=images, targets=targets)
    numbers = generator.integers(0, 40, 300)
    carved = carve_validation(data, 0.2, seed, Groups(numbers, 40, "persons", True))
    val = np.isin(np.arange(300), indices(carved, "val"))
    assert not set(numbers[val]) & set(numbers[~val])
    assert not set(map(bytes, images[val])) & set(map(bytes, images[~val]))
    assert set(targets[~val]) == set(targets)
    order = generator.permutation(300)
    shuffled = replace(data, images=images[order], targets=targets[order])
    again = carve_validation(shuffled, 0.2, seed, Groups(numbers[order], 40, "persons", True))
    assert {bytes(images[order][row]) for row in indices(again, "val")} == set(map(bytes, images[val]))


def test_groups_that_cannot_be_divided():
    groups = Groups(np.zeros(30, np.int64), 1, "persons", True)
    with pytest.raises(FerError, match="got 1 groups"):
        carve_validation(empty_data(30), 0.2, 0, groups)


def test_published_splits_that_share_subjects_are_a_warning(tmp_path):
    write_subjects(tmp_path / "train", 4)
    write_subjects(tmp_path / "test", 2)
    with pytest.warns(UserWarning, match=r"2 of 2 groups \(CK\+ subjects\) of the published test split"):
        data = read(tmp_path)
    assert "test" in data.roles


def test_names_without_groups_do_not_change_the_split(tmp_path):
    """A set without groups is divided as without the option."""
    root = write_subjects(tmp_path, subjects=3, frames=2, name="face_{}_{}_{}.png")
    assert manifest(read(root))["splits"] == manifest(read(root, group="none"))["splits"]


@pytest.mark.parametrize("values", [["", "", ""], ["a", "a", "a"], ["a", "b", "c"]])
def test_a_column_that_does_not_divide_is_not_used_by_default(values):
    data = replace(empty_data(3), groups=np.array(values))
    names = [f"angry/{name}" for name in NAMES["CK+ subjects"]]
    groups = find_groups(data, names, np.ones(3, bool), "auto")
    assert groups is not None
    assert groups.rule == "CK+ subjects"
