"""Predictions of a run: against the model called by hand, on the right images, under the right names."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from written_run import write_run

from fer.analysis.protocol import _changes
from fer.data.fer2013 import read_fer2013
from fer.errors import FerError
from fer.labels import FER7, FERPLUS8, RAFDB7, LabelSpace, map_votes
from fer.scoring import Scene, choose, data_options, ensemble, load_run, score
from fer.scoring.inference import infer
from fer.scoring.runs import hash_model, hash_recipe


@pytest.fixture
def run(tmp_path, fer2013_csv):
    def make(seed=0, **more):
        data = {"name": "fer2013", "path": str(fer2013_csv)}
        return load_run(write_run(tmp_path / "outputs", data, seed, **more))

    return make


def scored(run, role="val", tta=None, **place):
    scene = Scene(run, role, **place)
    return score(run, scene.subject, scene.provenance(run).about, tta)


def by_hand(run, images, change=lambda x: x):
    """Probabilities in double precision, one image at a time."""
    model = run.trained.model.double()
    pixels = torch.tensor(images / 255.0).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = torch.cat([model(change(one[None])) for one in pixels])
    model.float()
    return logits.softmax(1).numpy()


@pytest.mark.parametrize(("role", "start"), [("train", 0), ("val", 70), ("test", 105)])
def test_probabilities_and_labels(role, start, run, fer2013_csv):
    table, plain = scored(run(), role).predictions, scored(run(seed=1), role).plain
    data = read_fer2013(fer2013_csv)
    rows = np.arange(start, start + (70 if role == "train" else 35))
    assert plain is None
    np.testing.assert_array_equal(table.index, rows)
    np.testing.assert_array_equal(table.target, data.targets[rows])
    np.testing.assert_allclose(
        table.probs, by_hand(load_run(table.about["checkpoint"]), data.images[rows]), atol=1e-5
    )
    np.testing.assert_allclose(
        np.exp(table.logits) / np.exp(table.logits).sum(1, keepdims=True), table.probs, atol=1e-6
    )
    assert table.source[0] == f"row {start}"
    assert table.about["manifest"]["count"] == len(rows)


def test_all_is_every_split(run):
    np.testing.assert_array_equal(scored(run(), "all").predictions.index, np.arange(140))


def test_flip_is_the_mean_with_the_mirror_image(run, fer2013_csv):
    one = run()
    images = read_fer2013(fer2013_csv).images[70:105]
    result = scored(one, tta="flip")
    expected = (by_hand(one, images) + by_hand(one, images[:, :, ::-1])) / 2
    np.testing.assert_allclose(result.predictions.probs, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(result.predictions.logits), expected, atol=1e-5)
    np.testing.assert_allclose(result.plain.probs, by_hand(one, images), atol=1e-5)
    assert (result.predictions.about["tta"], result.plain.about["tta"]) == ("flip", None)


def test_ten_crops_are_corners_centre_and_their_mirrors(run, fer2013_csv):
    one, side = run(), 43  # 9/10 of 48
    images = read_fer2013(fer2013_csv).images[70:105]
    probs = []
    for top, left in ((0, 0), (0, 5), (5, 0), (5, 5), (2, 2)):
        crops = [
            cv2.resize(i[top : top + side, left : left + side, 0].astype(float), (48, 48)) for i in images
        ]
        crop = np.stack(crops)[..., None]
        probs += [by_hand(one, crop), by_hand(one, crop[:, :, ::-1])]
    found = scored(one, tta="ten-crop").predictions.probs
    np.testing.assert_allclose(found, np.mean(probs, axis=0), atol=1e-4)


def test_ensemble_is_the_mean_of_probabilities(run):
    first, second = (scored(run(seed)).predictions for seed in (0, 1))
    both = ensemble([first, second])
    np.testing.assert_allclose(both.probs, (first.probs.astype(float) + second.probs) / 2, atol=1e-6)
    assert both.about["parameters"] == 2 * first.about["parameters"]
    assert both.about["model_sha256"] not in (first.about["model_sha256"], second.about["model_sha256"])


def test_test_images_of_one_member_are_those_of_the_ensemble(run):
    first, second = (scored(run(seed)).predictions for seed in (0, 1))
    splits = {**second.about["trained_on"]["splits"], "train": {"split": "other"}}
    about = {"has_test": True, "test_images": "abc", "changed": ["other"]}
    second = replace(
        second, about={**second.about, **about, "trained_on": {"splits": {**splits, "other": {"split": "o"}}}}
    )
    both = ensemble([first, second]).about
    assert (both["has_test"], both["test_images"]) == (True, "abc")
    assert [words for words in _changes(both) if "other split (o)" in words]


def test_ensemble_of_other_emotions_is_refused(run):
    first = scored(run()).predictions
    with pytest.raises(FerError, match="rafdb7"):
        ensemble([first, replace(first, labels=RAFDB7)])


def test_hash_of_a_model_is_that_of_its_weights(run):
    one, other = run().trained.model, run(seed=1).trained.model
    assert hash_model(one) == hash_model(one.to(memory_format=torch.channels_last))
    assert hash_model(one) != hash_model(other)
    before = hash_model(one)
    with torch.no_grad():
        one.head.bias[0] += 1e-6
    assert hash_model(one) != before


SOURCE = {"name": "fer2013", "path": "/a"}
CONFIG = {"seed": 0, "name": "a", "output_dir": "o", "logger": {}, "optimizer": {"lr": 0.1},
          "trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 1},
          "datamodule": {"name": "concat", "batch_size": 8, "sources": [SOURCE]}}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed": 1, "name": "b", "output_dir": "p", "logger": {"wandb": {}}}, True),
        ({"trainer": {"max_epochs": 3, "accelerator": "gpu", "devices": 1}}, True),
        ({"datamodule": {**CONFIG["datamodule"], "sources": [{"name": "fer2013", "path": "/b"}]}}, True),
        ({"trainer": {"max_epochs": 4, "accelerator": "cpu", "devices": 1}}, False),
        ({"trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 2}}, False),
        ({"optimizer": {"lr": 0.2}}, False),
        ({"datamodule": {**CONFIG["datamodule"], "batch_size": 9}}, False),
    ],
)
def test_recipe_is_the_config_without_the_seed(change, same):
    assert (hash_recipe(CONFIG) == hash_recipe(CONFIG | change)) is same


def test_ferplus_on_a_model_of_seven_emotions(run, fer2013_csv):
    one = run()
    subject = Scene(one, "val", other=f"ferplus:{fer2013_csv.parent}").subject
    whole = Scene(one, "val", other=f"ferplus:{fer2013_csv.parent}").whole
    assert whole.labels == FERPLUS8
    words = [whole.labels.names[target] for target in whole.targets[subject.index]]
    assert [FER7.names[target] for target in subject.target] == words
    assert "contempt" not in words
    assert list(subject.left_out) == ["contempt, which the model cannot say"]
    assert len(subject.index) + sum(subject.left_out.values()) == (whole.split == 1).sum()
    np.testing.assert_allclose(subject.votes.sum(1), 1, rtol=1e-6)


def test_votes_are_mapped_by_name_and_shared_anew():
    votes = np.zeros((2, 8), np.float32)
    votes[0, [FERPLUS8.index("happy"), FERPLUS8.index("contempt")]] = 0.6, 0.4
    votes[1, FERPLUS8.index("contempt")] = 1
    mapped = map_votes(votes, FERPLUS8, FER7)
    assert mapped[0, FER7.index("happy")] == pytest.approx(1)
    assert mapped[1].tolist() == [0] * 7


def test_emotions_without_an_image_are_named(fer2013_csv):
    data = read_fer2013(fer2013_csv)
    assert choose(data, "val", FERPLUS8).absent == ("contempt",)


def test_no_emotion_in_common(fer2013_csv):
    data = read_fer2013(fer2013_csv)
    with pytest.raises(FerError, match="the model can say"):
        choose(data, "val", LabelSpace("other", ("contempt", "bored")))


def test_images_seen_in_training_are_counted(tmp_path, run, fer2013_csv):
    """Three training rows come again in validation, two of them under another label."""
    lines = fer2013_csv.read_text().splitlines()
    again = [
        line.replace("Training", "PublicTest") for line in (lines[1], "6" + lines[2][1:], "6" + lines[3][1:])
    ]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines + again) + "\n")
    one = run()
    table = scored(one, path=str(path)).predictions
    assert table.about["seen"] == {"train": 3}
    assert table.about["changed"] == ["val"]
    assert scored(one).predictions.about["changed"] == []
    assert scored(one).predictions.about["seen"] == {"train": 0}


def test_another_set_is_searched_for_training_and_validation_images(run, fer2013_csv, tmp_path):
    path = tmp_path / "less.csv"
    path.write_text("".join(fer2013_csv.read_text().splitlines(keepends=True)[:-1]))
    about = scored(run(), "all", other=f"fer2013:{path}").predictions.about
    assert about["seen"] == {"train": 70, "val": 35}
    assert about["other_data"]


def test_the_same_set_elsewhere_is_no_other(run, fer2013_csv, tmp_path):
    path = tmp_path / "moved.csv"
    path.write_bytes(fer2013_csv.read_bytes())
    assert not scored(run(), "val", other=f"fer2013:{path}").predictions.about["other_data"]


def test_images_in_another_size_or_in_colour_are_not_called_new(run, fer2013_csv, tmp_path):
    """Their pixels are others though the pictures are the same: whether they were seen is not known."""
    data = read_fer2013(fer2013_csv)
    for row in np.flatnonzero(data.split == 0):
        folder = tmp_path / "faces" / "train" / data.labels.names[data.targets[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), data.images[row])
    other = f"folder:{tmp_path / 'faces'}"
    assert scored(run(), "train", other=other).predictions.about["seen"] == {
        "train": 63,
        "val": 0,
    }  # and seven were carved out for validation
    large = run(seed=1)
    large.trained.config["model"] = {**large.trained.config["model"], "image_size": 46}
    assert scored(large, "train", other=other).predictions.about["seen"] == {"train": None, "val": None}


def test_training_data_that_is_gone_is_not_known(run, fer2013_csv, tmp_path):
    one = run()
    one.trained.config["datamodule"]["path"] = str(tmp_path / "gone.csv")
    about = scored(one, "val", other=f"fer2013:{fer2013_csv}").predictions.about
    assert about["seen"] == {"train": None, "val": None}


def test_defaults_of_another_set_come_from_its_yaml(run):
    options = data_options(run().trained.config, other="rafdb:/data/RAF-DB")
    assert options["size"] == 48
    assert {"color": True, "val_fraction": 0.1, "path": "/data/RAF-DB"}.items() <= options.items()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batches_do_not_matter(batch_size, run, fer2013_csv):
    one, data = run(), read_fer2013(fer2013_csv)
    found = infer(one.trained.model, data, 48, batch_size).logits
    np.testing.assert_allclose(found, infer(one.trained.model, data, 48, 140).logits, atol=1e-5)


def test_best_or_last(run):
    folder = run().folder
    best = folder / "checkpoints" / "best.ckpt"
    best.rename(best.with_name("last.ckpt"))
    assert load_run(folder).path.name == "last.ckpt"
    with pytest.raises(FerError, match=r"best\.ckpt"):
        load_run(folder, "best")


def test_what_is_told_is_plain_json(run):
    about = scored(run(), tta="flip").predictions.about
    assert json.loads(json.dumps(about)) == about
