"""Emotions of one's own choice: which are kept, which are merged, and what follows from it."""

import warnings

import numpy as np
import pytest
from image_layouts import write_affectnet_lists, write_folder, write_rafdb

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8
from fer.core.registry import READERS
from fer.data.arrays import from_arrays
from fer.data.config import ConcatConfig, DataConfig, FER2013Config, SyntheticConfig
from fer.data.datamodule import EmotionDataModule, read_data
from fer.data.dataset import EmotionData
from fer.data.emotions import choose_emotions
from fer.data.readers.factory import read_dataset
from fer.data.register import register_reader
from fer.data.splits import indices, manifest
from fer.evaluation.split import read_data as read_to_score
from fer.evaluation.split import select_split

NEGATIVE = {"negative": ["angry", "disgust", "fear", "sad"]}


def make_data(labels=FER7, per_class=4, votes=None):
    """Return four images of each emotion in each split."""
    k = len(labels)
    targets = np.tile(np.repeat(np.arange(k), per_class), 3)
    split = np.repeat(np.arange(3, dtype=np.uint8), k * per_class)
    images = np.random.default_rng(0).integers(0, 256, (len(split), 8, 8, 1), dtype=np.uint8)
    names = ("Training", "PublicTest", "PrivateTest")
    roles = dict(zip(("train", "val", "test"), names, strict=True))
    return EmotionData(images, targets, split, names, roles, labels, "made.csv", votes)


def labels_of(data, role):
    return [data.labels.names[number] for number in data.targets[indices(data, role)]]


def test_nothing_chosen_is_the_same_object():
    data = make_data()
    assert choose_emotions(data, None, None) is data
    assert choose_emotions(data, None, {}) is data


def test_emotions_that_no_training_image_shows_are_named():
    data = make_data()
    shown = np.isin(data.targets, [FER7.index("happy"), FER7.index("sad")])
    with pytest.warns(UserWarning, match=r"angry, .*'datamodule.emotions=\[happy,sad\]'"):
        choose_emotions(data.take(shown), None, None)
    with warnings.catch_warnings(action="error"):
        choose_emotions(data.take(shown), None, None, to_train=False)
        choose_emotions(data, None, None)


def test_emotions_are_kept_in_the_given_order_and_the_others_lose_their_role():
    data = make_data()
    chosen = choose_emotions(data, ["Happiness", "sad", "neutral"], None)
    assert chosen.labels.names == ("happy", "sad", "neutral")
    assert chosen.labels.name == "fer7-subset"
    for role in data.roles:
        before, after = indices(data, role), indices(chosen, role)
        assert set(after) < set(before)
        expected = [FER7.names[number] for number in data.targets[after]]
        assert labels_of(chosen, role) == expected
        assert set(expected) == set(chosen.labels.names)
    assert chosen.images is data.images
    # Without the test split.
    assert chosen.dropped == {"angry, disgust, fear, surprise: not in datamodule.emotions": 32}


def test_merged_emotions_take_the_place_of_the_first():
    chosen = choose_emotions(make_data(), None, NEGATIVE)
    assert chosen.labels.names == ("negative", "happy", "surprise", "neutral")
    assert chosen.labels.name == "fer7-merged"
    assert np.bincount(chosen.targets[indices(chosen, "train")]).tolist() == [16, 4, 4, 4]
    assert chosen.dropped == {}


def test_merged_emotions_can_be_named():
    chosen = choose_emotions(make_data(), ["happy", "negative"], NEGATIVE)
    assert chosen.labels.names == ("happy", "negative")
    assert np.bincount(chosen.targets[indices(chosen, "val")]).tolist() == [4, 16]
    assert chosen.dropped == {"surprise, neutral: not in datamodule.emotions": 16}


def test_a_merge_may_keep_the_name_of_a_member_and_give_a_published_label_space():
    chosen = choose_emotions(make_data(FERPLUS8), list(FER7.names), {"anger": ["angry", "contempt"]})
    assert chosen.labels == FER7
    assert labels_of(chosen, "train").count("angry") == 8


def test_hidden_labels_stay_hidden():
    data = make_data()
    data.targets[indices(data, "test")] = -1
    chosen = choose_emotions(data, ["happy", "sad"], None)
    assert (chosen.targets[indices(chosen, "test")] == -1).all()
    assert len(indices(chosen, "test")) == 28


def test_votes_of_merged_emotions_are_added_and_others_leave():
    votes = np.zeros((84, 7), np.float32)
    votes[0, [0, 4, 3]] = 0.3, 0.3, 0.4
    votes[1, [0, 5]] = 0.25, 0.75
    votes[2, 5] = 1.0
    chosen = choose_emotions(make_data(votes=votes), ["happy", "negative"], NEGATIVE)
    np.testing.assert_allclose(chosen.votes[:3], [[0.4, 0.6], [0, 1], [0, 0]], atol=1e-6)
    assert chosen.votes.dtype == np.float32


def test_manifest_records_the_choice_and_hashes_the_new_labels():
    data = make_data()
    plain, chosen = manifest(data), manifest(choose_emotions(data, ["happy", "negative"], NEGATIVE))
    assert "emotions" not in plain
    assert chosen["emotions"] == {
        "label_space": {"name": "fer7", "names": list(FER7.names)},
        "merge": NEGATIVE,
        "left_out": ["surprise", "neutral"],
    }
    assert chosen["splits"]["train"]["class_counts"] == {"happy": 4, "negative": 16}
    for key in ("pixels_sha256", "labels_sha256"):
        assert chosen["splits"]["train"][key] != plain["splits"]["train"][key]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"emotions": ["happy", "sda"]}, r"emotions of the data .* got 'sda'\. Did you mean 'sad'"),
        ({"emotions": ["happy", "contempt"]}, "expected emotions of the data"),
        ({"emotions": ["happy", "Joy"]}, r"emotions: expected different emotions, got happy twice"),
        ({"emotions": ["happy"]}, r"expected two emotions or more, got \[happy\]"),
        ({"emotions": []}, "expected two emotions or more"),
        ({"emotions": "happy"}, r"emotions: expected a list or null, got 'happy'\. Example: datamodule"),
        ({"emotions": ["happy", "a/b"]}, r"expected names of 1 to 40 letters"),
        ({"merge": {"bad": ["sad", "anger"], "low": ["sadness"]}}, "in one list, got sad in bad and low"),
        ({"merge": {"bad": ["sad", "hapy"]}}, r"merge: expected .* Did you mean 'happy'"),
        ({"merge": {"bad": []}}, "to merge into bad, got none"),
        ({"merge": {"happy": ["sad", "fear"]}}, "got happy, another emotion of the data"),
        ({"merge": {"all": list(FER7.names)}}, r"two emotions or more to be left, got \[all\]"),
        ({"merge": {"bad": "sad"}}, r"merge: expected options by name or null, got"),
        ({"merge": NEGATIVE, "emotions": ["happy", "sad"]}, "expected negative, got sad, which datamodule"),
    ],
)  # fmt: skip
def test_mistakes_are_named(options, message):
    with pytest.raises(FerError, match=message):
        read_dataset(
            {"name": "synthetic", "num_train": 7, "num_val": 7, "num_test": 7, "size": 16, **options}
        )


def test_a_split_without_images_is_an_error():
    data = make_data()
    data.targets[(data.split == 1) & (data.targets > 1)] = 0
    with pytest.raises(FerError, match=r"images of happy, sad in each split, got none in val \(PublicTest\)"):
        choose_emotions(data, ["happy", "sad"], None)


def test_an_emotion_without_training_images_is_an_error():
    data = make_data(FERPLUS8)
    data.targets[data.targets == FERPLUS8.index("contempt")] = 0
    with pytest.raises(FerError, match=r"emotions with training images, got none of contempt in made\.csv"):
        choose_emotions(data, ["happy", "contempt"], None)
    # To score, the model cannot be changed any more.
    choose_emotions(data, ["happy", "contempt"], None, to_train=False)


def test_one_spelling_of_an_emotion_is_stored():
    """Else recipes with joy and happy would differ."""
    config = SyntheticConfig(emotions=["Joy", "sadness", "calm"])
    assert config.to_dict()["emotions"] == ["happy", "sad", "calm"]


def test_unused_options_are_not_stored():
    assert not {"emotions", "merge"} & SyntheticConfig().to_dict().keys()
    stored = SyntheticConfig(emotions=["happy", "sad"]).to_dict()
    assert DataConfig.from_dict(stored).emotions == ["happy", "sad"]


def test_one_cache_entry_serves_every_choice(fer2013_csv, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    for options in ({}, {"emotions": ["happy", "sad"]}, {"merge": NEGATIVE}):
        read_dataset(FER2013Config(path=str(fer2013_csv), **options))
    assert len(list(tmp_path.glob("*.fer"))) == 1


def test_votes_of_fer2013_follow(fer2013_csv):
    choice = {"emotions": ["happy", "negative"], "merge": NEGATIVE}
    config = FER2013Config(path=str(fer2013_csv), votes=True, **choice)
    for data in (read_dataset(config), read_to_score(config)):
        rows = indices(data, "train")
        assert data.votes.shape[1] == 2
        np.testing.assert_allclose(data.votes[rows].sum(1), data.votes[rows].any(1))


def test_concat_chooses_after_its_sources_are_joined():
    sources = [
        {"name": "synthetic", "num_train": 14, "num_val": 7, "num_test": 7, "size": 16, "seed": i}
        for i in (0, 1)
    ]
    config = ConcatConfig.create({"name": "concat", "sources": sources, "merge": NEGATIVE}, 16)
    assert read_dataset(config).labels.names == ("negative", "happy", "surprise", "neutral")
    with pytest.raises(FerError, match=r"entry 1: expected options of synthetic .* got 'emotions'"):
        ConcatConfig.create({"name": "concat", "sources": [{**sources[0], "emotions": ["happy", "sad"]}]}, 16)


def test_data_module_of_arrays_and_of_names():
    for data in (
        EmotionDataModule(make_data(), 8, batch_size=4, merge=NEGATIVE),
        EmotionDataModule(
            "synthetic", 16, num_train=28, num_val=7, num_test=7, size=16, batch_size=4, merge=NEGATIVE
        ),
    ):
        assert data.labels.names == ("negative", "happy", "surprise", "neutral")
        assert data.train_counts == [16, 4, 4, 4]
        assert data.manifest["emotions"]["merge"] == NEGATIVE


def test_drop_leaks_ignores_copies_among_emotions_that_are_left_out():
    config = SyntheticConfig(
        num_train=70, num_val=35, num_test=35, size=24, emotions=["happy", "sad"], drop_leaks=True
    )
    data = read_data(config)
    assert set(labels_of(data.dataset, "train")) == {"happy", "sad"}
    assert data.duplicates["roles"] == {"train": 20, "val": 10, "test": 10}


def test_a_run_is_scored_on_data_with_the_original_labels():
    chosen = choose_emotions(make_data(), ["happy", "negative"], NEGATIVE)
    other = choose_emotions(make_data(FERPLUS8), None, {**NEGATIVE, "x": ["bored"]}, to_train=False)
    split = select_split(other, "val", chosen.labels)
    assert np.bincount(split.target).tolist() == [4, 16]
    assert split.left_out == {
        f"{name}, which the model cannot say": 4 for name in ("neutral", "surprise", "contempt")
    }


KINDS = {
    "folder": lambda root: write_folder(root),
    "rafdb": lambda root: write_rafdb(root),
    "affectnet": lambda root: write_affectnet_lists(root),
}


@pytest.mark.parametrize("memory_gb", [2.0, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_readers_of_image_files(kind, memory_gb, tmp_path):
    KINDS[kind](tmp_path / "set")
    options = {"name": kind, "path": str(tmp_path / "set"), "size": 24, "memory_gb": memory_gb}
    options |= {"val_fraction": 0.4} if kind == "rafdb" else {}
    plain = read_dataset(options)
    chosen = read_dataset({**options, "merge": NEGATIVE, "emotions": ["negative", "happy"]})
    assert chosen.labels.names == ("negative", "happy")
    for role in ("train", "val"):
        rows = indices(chosen, role)
        old = [plain.labels.names[number] for number in plain.targets[rows]]
        assert labels_of(chosen, role) == ["happy" if name == "happy" else "negative" for name in old]
        assert set(rows) == {
            row
            for row in indices(plain, role)
            if plain.labels.names[plain.targets[row]] in ("happy", *NEGATIVE["negative"])
        }
    assert manifest(chosen)["splits"]["train"]["count"] == len(indices(chosen, "train"))
    for name in select_split(chosen, "train", chosen.labels).sources():
        assert (tmp_path / "set" / name).is_file()


def test_a_reader_of_a_plugin_with_words_of_its_own(monkeypatch):
    monkeypatch.setattr(READERS, "_entries", dict(READERS._entries))

    @register_reader("states")
    def states(count: int = 8):
        images = np.random.default_rng(0).integers(0, 256, (3 * count, 16, 16), dtype=np.uint8)
        words = ["bored", "awake", "tired"] * count
        return from_arrays({"train": (images, words), "val": (images, words)}, ["awake", "bored", "tired"])

    data = EmotionDataModule("states", 16, batch_size=4, merge={"low": ["tired", "bored"]})
    assert data.labels.names == ("awake", "low")
    assert data.train_counts == [8, 16]
    with pytest.raises(FerError, match=r"expected emotions of the data .* Did you mean 'tired'"):
        EmotionDataModule("states", 16, merge={"low": ["tird", "bored"]})
