"""The reader of FER+: majority labels, votes and mismatches."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fer2013_text import make_rows, to_text, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8
from fer.data.config import DataConfig
from fer.data.dataset import EmotionData
from fer.data.emotions import choose_emotions
from fer.data.readers import ferplus
from fer.data.readers.factory import read_dataset
from fer.data.readers.fer2013 import read_fer2013
from fer.data.readers.ferplus import Votes, find_files, read_votes, relabel
from fer.data.splits import check_training_classes, hide_test_labels, indices, manifest
from fer.evaluation.split import read_data

USAGES = ("Training", "PublicTest", "PrivateTest")
EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
HEADER = ("Usage", "Image name", *EMOTIONS, "unknown", "NF")
HAPPY = [0, 9, 0, 0, 0, 0, 0, 0, 1, 0]
SAD = [2, 0, 0, 8, 0, 0, 0, 0, 0, 0]
ROWS = st.lists(st.tuples(*[st.integers(0, 10)] * 10), min_size=1, max_size=40)


def make_images(usages):
    split = np.array([USAGES.index(usage) for usage in usages], dtype=np.uint8)
    images = np.arange(len(split), dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2)
    roles = {
        role: usage for role, usage in zip(("train", "val", "test"), USAGES, strict=True) if usage in usages
    }
    return EmotionData(images, np.zeros(len(split), np.int64), split, USAGES, roles, FER7, "fer2013.csv")


def make_votes(counts, usages):
    usage = np.array([USAGES.index(name) for name in usages], dtype=np.uint8)
    return Votes(Path("fer2013new.csv"), usage, np.array(counts), np.arange(2, len(counts) + 2))


def relabel_counts(counts, usage="Training", contempt=True, ambiguous=False):
    """Relabel images of one usage, after two training images that every rule keeps."""
    usages = ["Training"] * 2 + [usage] * len(counts)
    counts = [HAPPY, SAD, *counts]
    return relabel(make_votes(counts, usages), make_images(usages), contempt, ambiguous)


def vote_counts(**votes):
    return [votes.get(name.lower(), 0) for name in HEADER[2:]]


def official_majority(counts):
    """Return the position of the majority option of one image by the authors' rule, or None."""
    counts = [count if count > 1 else 0 for count in counts]
    top_votes = max(counts)
    return counts.index(top_votes) if top_votes > 0.5 * sum(counts) else None


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, usage=st.sampled_from(["Training", "PublicTest"]))
def test_majority_equals_the_authors_rule(rows, usage):
    expected = [official_majority(counts) for counts in (HAPPY, SAD, *rows)]
    data = relabel_counts(rows, usage)
    labelled = [i for i, option in enumerate(expected) if option is not None and option < 8]
    assert data.images[:, 0, 0, 0].tolist() == labelled
    assert data.targets.tolist() == [expected[i] for i in labelled]
    counts = Counter(expected)
    rules = {"no majority": None, "mostly unknown": 8, "mostly not a face": 9}
    assert data.dropped == {rule: counts[option] for rule, option in rules.items() if counts[option]}


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, contempt=st.booleans(), ambiguous=st.booleans())
def test_votes_are_distributions_whose_mode_is_the_target(rows, contempt, ambiguous):
    data = relabel_counts(rows, contempt=contempt, ambiguous=ambiguous)
    assert data.votes.dtype == np.float32
    assert data.votes.shape == (len(data), 8 if contempt else 7)
    np.testing.assert_allclose(data.votes.sum(1), 1, atol=1e-6)
    at_target = data.votes[np.arange(len(data)), data.targets]
    np.testing.assert_array_equal(at_target, data.votes.max(1))


def test_votes_against_manual_results():
    (votes,) = relabel_counts([vote_counts(anger=5, sadness=2, contempt=2, unknown=1)]).votes[2:]
    np.testing.assert_allclose(votes, np.array([0, 0, 0, 2, 5, 0, 0, 2]) / 9)
    (votes,) = relabel_counts([vote_counts(anger=5, sadness=2, contempt=2, unknown=1)], contempt=False).votes[
        2:
    ]
    assert dict(zip(FER7.names, votes.tolist(), strict=True)) == pytest.approx(
        {"angry": 5 / 7, "sad": 2 / 7, "disgust": 0, "fear": 0, "happy": 0, "surprise": 0, "neutral": 0}
    )


def test_class_orders_of_both_label_spaces():
    rows = [vote_counts(**{name: 10}) for name in EMOTIONS]
    eight, seven = relabel_counts(rows), relabel_counts(rows, contempt=False)
    assert (eight.labels, seven.labels) == (FERPLUS8, FER7)
    names = [eight.labels.names[i] for i in eight.targets[2:]]
    assert names == ["neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"]
    assert [seven.labels.names[i] for i in seven.targets[2:]] == names[:-1]


def test_contempt_images_do_not_get_their_second_choice():
    data = relabel_counts([vote_counts(contempt=6, sadness=4)], contempt=False)
    assert len(data) == 2
    assert data.dropped == {"mostly contempt": 1}


AMBIGUOUS = {
    "no majority": (vote_counts(happiness=4, surprise=3, neutral=3), "happy"),
    "tie": (vote_counts(fear=5, surprise=5), "surprise"),
    "tie with unknown": (vote_counts(sadness=5, unknown=5), "sad"),
    "mostly unknown": (vote_counts(sadness=3, unknown=7), None),
    "strongest is unknown": (vote_counts(sadness=3, happiness=3, unknown=4), None),
    "single votes only": (vote_counts(**dict.fromkeys(map(str.lower, HEADER[2:]), 1)), None),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_adds_only_training_images(case):
    counts, emotion = AMBIGUOUS[case]
    assert len(relabel_counts([counts])) == 2
    for usage in ("PublicTest", "PrivateTest"):
        assert len(relabel_counts([counts], usage, ambiguous=True)) == 2
    data = relabel_counts([counts], ambiguous=True)
    assert [FERPLUS8.names[i] for i in data.targets[2:]] == ([emotion] if emotion else [])


def test_the_test_split_is_not_counted_and_its_votes_are_hidden():
    data = relabel_counts([HAPPY, vote_counts(unknown=9)], "PrivateTest")
    assert data.dropped == {}
    hidden = hide_test_labels(data)
    assert hidden.targets.tolist() == [1, 3, -1]
    assert hidden.votes[2].tolist() == [0] * 8
    assert data.votes[2].sum() == 1
    np.testing.assert_array_equal(hidden.votes[:2], data.votes[:2])


@pytest.mark.parametrize("num_private", [0, 2])
def test_votes_of_a_missing_usage_are_skipped(num_private):
    usages = ["Training", "Training", "PublicTest", *["PrivateTest"] * 2]
    votes = make_votes([HAPPY, SAD, HAPPY, SAD, SAD], usages)
    data = relabel(votes, make_images(usages[: 3 + num_private]), True, False)
    assert data.targets.tolist() == [1, 3, 1, 3, 3][: 3 + num_private]


@pytest.mark.parametrize(
    ("usages", "message"),
    [
        (["Training"] * 3, "for each of the 4 images of fer2013.csv, got 3 rows"),
        (["Training"] * 5, "got 5 rows"),
        (
            ["Training", "Training", "PublicTest", "Training"],
            "line 4: expected Usage Training, as for image 3",
        ),
    ],
)
def test_rows_that_do_not_match(usages, message):
    images = make_images(["Training", "Training", "Training", "PublicTest"])
    with pytest.raises(FerError, match=message):
        relabel(make_votes([HAPPY] * len(usages), usages), images, True, False)


def test_only_one_emotion():
    usages = ["Training"] * 3
    with pytest.raises(FerError, match=r"fer2013new\.csv: expected training images of at least two emotions"):
        check_training_classes(relabel(make_votes([HAPPY] * 3, usages), make_images(usages), True, False))


def votes_text(rows, header=HEADER, newline="\n"):
    return newline.join(",".join(map(str, fields)) for fields in [header, *rows]) + newline


GOOD = [("Training", "fer0000000.png", *HAPPY), ("PublicTest", "", *SAD)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_reads_the_file(tmp_path, newline, bom):
    votes = read_votes(write(tmp_path, bom + votes_text(GOOD, newline=newline) + newline))
    assert votes.usage.tolist() == [0, 1]
    assert votes.counts.tolist() == [HAPPY, SAD]
    assert votes.lines.tolist() == [2, 3]


def test_columns_are_found_by_name(tmp_path):
    fields = [[*reversed(fields)] for fields in (HEADER, *GOOD)]
    votes = read_votes(write(tmp_path, votes_text(fields[1:], fields[0])))
    assert votes.counts.tolist() == [HAPPY, SAD]


BAD = {
    "no votes": (votes_text([]), r"line 2: expected rows of votes"),
    "missing column": (votes_text([f[:-1] for f in GOOD], HEADER[:-1]), "line 1: expected the columns .*nf"),
    "fer2013.csv": ("emotion,pixels,Usage\n0,1 2 3,Training\n", "line 1: expected the columns"),
    "short line": (votes_text([*GOOD, GOOD[0][:-1]]), "line 4: expected 12 columns, got 11"),
    "usage": (votes_text([*GOOD, ("Test", *GOOD[0][1:])]), "line 4: expected Usage .*got 'Test'"),
    "text": (votes_text([(*GOOD[0][:-1], "x")]), "line 2: expected ten counts"),
    "negative": (votes_text([(*GOOD[0][:-1], "-1")]), "line 2: expected ten counts"),
    "empty": ("", "empty file"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_file(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(FerError, match=message):
        read_votes(write(tmp_path, text))


def test_files_from_a_folder_or_either_file(tmp_path):
    both = tmp_path / "fer2013.csv", tmp_path / "fer2013new.csv"
    # Without any file the message names the expected ones.
    assert find_files(tmp_path) == both
    (tmp_path / "icml_face_data.csv").touch()
    assert find_files(tmp_path) == (tmp_path / "icml_face_data.csv", both[1])
    both[0].touch()
    for path in (tmp_path, *both):
        assert find_files(path) == both


def options(path, **changes):
    return {"name": "ferplus", "path": str(path), "contempt": True, "ambiguous": False, **changes}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    rows = make_rows(20)
    write(tmp_path, to_text(rows))
    lines = [(row["Usage"], "", *(HAPPY if i % 2 else SAD)) for i, row in enumerate(rows)]
    write(tmp_path, votes_text(lines), "fer2013new.csv")
    return tmp_path


def test_read_through_the_cache(folder, monkeypatch):
    first = read_dataset(options(folder))
    assert first.targets.tolist() == [3, 1] * 10
    np.testing.assert_array_equal(first.images, read_fer2013(folder / "fer2013.csv").images)
    monkeypatch.setattr(ferplus, "read_votes", lambda path: pytest.fail("the file was read again"))
    second = read_dataset(options(folder))
    np.testing.assert_array_equal(second.votes, first.votes)
    assert manifest(second) == manifest(first)


def test_changed_votes_make_the_cache_stale(folder):
    before = manifest(read_dataset(options(folder)))["splits"]["train"]
    path = folder / "fer2013new.csv"
    path.write_text(path.read_text().replace(",2,0,0,8,", ",3,0,0,7,"))
    os.utime(path, ns=(1, 1))
    after = manifest(read_dataset(options(folder)))["splits"]["train"]
    assert before.pop("votes_sha256") != after.pop("votes_sha256")
    assert before == after


def test_each_label_space_has_its_own_cache_entry(folder):
    assert read_dataset(options(folder)).labels == FERPLUS8
    assert read_dataset(options(folder, contempt=False)).labels == FER7
    assert read_dataset(options(folder)).labels == FERPLUS8


def test_fer2013_labels_with_votes(folder):
    options = {"name": "fer2013", "path": str(folder / "fer2013.csv")}
    plain, with_votes = read_dataset({**options, "votes": False}), read_dataset({**options, "votes": True})
    assert plain.votes is None
    np.testing.assert_array_equal(with_votes.targets, plain.targets)
    np.testing.assert_array_equal(with_votes.votes.argmax(1), [4, 3] * 10)
    (folder / "fer2013new.csv").unlink()
    with pytest.raises(FerError, match=r"fer2013new\.csv: expected FER\+'s votes .*no such file"):
        read_dataset({**options, "votes": True})


def test_missing_votes_name_the_file(folder):
    (folder / "fer2013new.csv").unlink()
    with pytest.raises(FerError, match=r"fer2013new\.csv: expected FER\+'s votes .*no such file"):
        read_dataset(options(folder))


def test_real_file():
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    path = Path(os.environ["FER_DATA_DIR"]) / "fer2013new.csv"
    if not path.is_file():
        pytest.skip("FER_DATA_DIR holds no fer2013new.csv")
    data = read_dataset(options(path.parent))
    with path.open(newline="") as file:
        rows = [fields for fields in csv.reader(file) if fields[0] in data.roles.values()]
    expected = [official_majority([int(count) for count in fields[2:]]) for fields in rows]
    assert data.targets.tolist() == [option for option in expected if option is not None and option < 8]
    counts = {role: entry["count"] for role, entry in manifest(data)["splits"].items()}
    assert (counts["train"], counts["val"]) == (25060, 3199)


NEGATIVE = {"negative": ["angry", "disgust", "fear", "sad"]}


def test_votes_of_merged_emotions_are_added_up_before_the_majority():
    divided = vote_counts(anger=3, disgust=1, fear=1, sadness=1, neutral=4)
    tie = vote_counts(anger=3, sadness=2, happiness=5)
    counts, usages = [HAPPY, SAD, divided, tie], ["Training"] * 4
    single = relabel(make_votes(counts, usages), make_images(usages), contempt=True, ambiguous=False)
    assert [single.labels.names[target] for target in single.targets] == ["happy", "sad", "neutral"]
    merged = relabel(make_votes(counts, usages), make_images(usages), True, False, NEGATIVE)
    assert merged.dropped == {"no majority": 1}
    chosen = choose_emotions(merged, None, NEGATIVE)
    assert [chosen.labels.names[target] for target in chosen.targets] == ["happy", "negative", "negative"]
    assert chosen.votes[2].tolist() == pytest.approx(
        [{"neutral": 0.4, "negative": 0.6}.get(name, 0) for name in chosen.labels.names]
    )


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, contempt=st.booleans())
def test_merging_equals_a_vote_on_the_merged_options(rows, contempt):
    counts, usages = [HAPPY, SAD, *rows], ["Training"] * (2 + len(rows))
    arguments = make_votes(counts, usages), make_images(usages), contempt, False
    chosen = choose_emotions(relabel(*arguments, NEGATIVE), None, NEGATIVE)
    table = np.array(counts)
    members = [EMOTIONS.index(name) for name in ("anger", "disgust", "fear", "sadness")]
    options = ["negative", *(name for name in HEADER[2:] if name not in np.array(EMOTIONS)[members])]
    table = np.column_stack([table[:, members].sum(1), np.delete(table, members, 1)])
    majorities = [official_majority(row) for row in table.tolist()]
    names = [None if majority is None else options[majority] for majority in majorities]
    spelled = {
        "happiness": "happy",
        "unknown": None,
        "NF": None,
        "contempt": "contempt" if contempt else None,
    }
    expected = [spelled.get(name, name) for name in names]
    assert [chosen.labels.names[i] for i in chosen.targets] == [name for name in expected if name]


def test_readers_pass_on_the_merged_emotions(fer2013_csv, tmp_path):
    header, first, *lines = fer2013_csv.with_name("fer2013new.csv").read_text().splitlines()
    divided = vote_counts(anger=3, disgust=1, fear=1, sadness=1, neutral=4)
    first = ",".join([*first.split(",")[:2], *map(str, divided)])
    (tmp_path / "fer2013new.csv").write_text("\n".join([header, first, *lines]))
    path = Path(shutil.copy(fer2013_csv, tmp_path / "fer2013.csv"))
    plus = {"name": "ferplus", "path": str(tmp_path)}
    labelled = {"name": "fer2013", "path": str(path), "votes": True}
    joint = {"name": "concat", "sources": [{"name": "synthetic", "num_train": 14}, plus], "labels": "fer7"}
    for config, rows, merged in ((plus, 0, (0.4, 0.6)), (labelled, 0, (0.4, 0.6)), (joint, None, None)):
        before = read_dataset(config)
        after = read_dataset({**config, "merge": NEGATIVE})
        assert len(after) == len(before)
        if rows is None:
            changed = before.targets == before.labels.index("neutral")
            assert (after.targets[changed] == after.labels.index("negative")).sum() == 1
            continue
        votes = dict(zip(after.labels.names, after.votes[rows].tolist(), strict=True))
        assert (votes["neutral"], votes["negative"]) == pytest.approx(merged)
        scored = read_data(DataConfig.of({**config, "merge": NEGATIVE}))
        np.testing.assert_array_equal(scored.targets, after.targets)
        np.testing.assert_array_equal(scored.votes, after.votes)


def test_images_that_are_no_faces_leave_the_training_split_only():
    usages = ["Training", "Training", "Training", "PublicTest", "PrivateTest"]
    no_face, unknown = [0, 1, 0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 2, 0, 0, 0, 0, 0, 8, 0]
    votes = make_votes([HAPPY, no_face, unknown, no_face, unknown], usages)
    data = ferplus.drop_not_faces(votes, make_images(usages))
    assert [indices(data, role).tolist() for role in ("train", "val", "test")] == [[0], [3], [4]]
    assert data.dropped == {"mostly unknown": 1, "mostly not a face": 1}
    # The votes still match the rows.
    np.testing.assert_array_equal(
        ferplus.vote_distributions(votes, data), ferplus.vote_distributions(votes, make_images(usages))
    )


def test_no_faces_are_dropped_by_option(folder):
    path = folder / "fer2013new.csv"
    lines = path.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith("Training"))
    lines[number] = "Training,,0,1,0,0,0,0,0,0,0,9"
    path.write_text("\n".join(lines) + "\n")
    options = {"name": "fer2013", "path": str(folder / "fer2013.csv")}
    plain, dropped = (read_dataset({**options, "drop_not_faces": drop}) for drop in (False, True))
    assert len(indices(dropped, "train")) == len(indices(plain, "train")) - 1
    assert "drop_not_faces" not in DataConfig.of(options).to_dict()
    # Evaluation reads the same split, with votes.
    scored = read_data(DataConfig.of({**options, "drop_not_faces": True}))
    np.testing.assert_array_equal(indices(scored, "train"), indices(dropped, "train"))
    assert scored.votes is not None


def test_no_faces_of_the_real_file():
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    path = Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv"
    if not path.is_file() or not path.with_name("fer2013new.csv").is_file():
        pytest.skip("FER_DATA_DIR holds no fer2013.csv and fer2013new.csv")
    data = read_dataset({"name": "fer2013", "path": str(path), "drop_not_faces": True})
    assert data.dropped == {"mostly unknown": 76, "mostly not a face": 150}
    counts = {role: entry["count"] for role, entry in manifest(data)["splits"].items()}
    assert (counts["train"], counts["val"]) == (28709 - 226, 3589)
