"""Predictions of a run: compared with direct calls of the model, with the right images and labels."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from fer2013_text import make_rows, to_text, write
from untrained_run import write_run

from fer.analysis.about import About
from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, RAFDB7, LabelSpace, map_votes
from fer.data.readers.fer2013 import read_fer2013
from fer.evaluation.data import EvaluationData
from fer.evaluation.runs import hash_model, hash_recipe, load_run
from fer.evaluation.score import ensemble_predictions, score_run
from fer.evaluation.sections.protocol import _changes
from fer.evaluation.split import data_config, select_split
from fer.models.inference import infer


@pytest.fixture
def run(tmp_path, fer2013_csv):
    def make(seed=0, **more):
        data = {"name": "fer2013", "path": str(fer2013_csv)}
        return load_run(write_run(tmp_path / "outputs", data, seed, **more))

    return make


def scored(run, role="val", tta=None, **options):
    """Return the predictions of a run; ``options`` are those of `EvaluationData`."""
    data = EvaluationData(run, role, **options)
    return score_run(run, data.split, data.provenance(run).about, tta)


def reference(run, images, change=lambda x: x):
    """Return probabilities in double precision, one image at a time."""
    model = run.checkpoint.model.double()
    pixels = torch.tensor(images / 255.0).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = torch.cat([model(change(one[None])) for one in pixels])
    model.float()
    return logits.softmax(1).numpy()


@pytest.mark.parametrize(("role", "start"), [("train", 0), ("val", 70), ("test", 105)])
def test_probabilities_and_labels(role, start, run, fer2013_csv):
    table, other = scored(run(), role).predictions, scored(run(seed=1), role)
    data = read_fer2013(fer2013_csv)
    rows = np.arange(start, start + (70 if role == "train" else 35))
    assert other.without_tta is other.predictions
    np.testing.assert_array_equal(table.index, rows)
    np.testing.assert_array_equal(table.target, data.targets[rows])
    np.testing.assert_allclose(
        table.probs, reference(load_run(table.about.checkpoint), data.images[rows]), atol=1e-5
    )
    np.testing.assert_allclose(
        np.exp(table.logits) / np.exp(table.logits).sum(1, keepdims=True), table.probs, atol=1e-6
    )
    assert table.source[0] == f"row {start}"
    assert table.about.manifest["count"] == len(rows)


def test_all_includes_every_split(run):
    np.testing.assert_array_equal(scored(run(), "all").predictions.index, np.arange(140))


def test_flip_is_the_mean_with_the_mirror_image(run, fer2013_csv):
    one = run()
    images = read_fer2013(fer2013_csv).images[70:105]
    result = scored(one, tta="flip")
    expected = (reference(one, images) + reference(one, images[:, :, ::-1])) / 2
    np.testing.assert_allclose(result.predictions.probs, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(result.predictions.logits), expected, atol=1e-5)
    np.testing.assert_allclose(result.without_tta.probs, reference(one, images), atol=1e-5)
    assert (result.predictions.about.tta, result.without_tta.about.tta) == ("flip", None)


def test_ten_crops_are_corners_centre_and_their_mirrors(run, fer2013_csv):
    one, side = run(), 43  # 9/10 of 48
    images = read_fer2013(fer2013_csv).images[70:105]
    probs = []
    for top, left in ((0, 0), (0, 5), (5, 0), (5, 5), (2, 2)):
        crops = [
            cv2.resize(i[top : top + side, left : left + side, 0].astype(float), (48, 48)) for i in images
        ]
        crop = np.stack(crops)[..., None]
        probs += [reference(one, crop), reference(one, crop[:, :, ::-1])]
    result = scored(one, tta="ten-crop").predictions.probs
    np.testing.assert_allclose(result, np.mean(probs, axis=0), atol=1e-4)


def test_ensemble_is_the_mean_of_probabilities(run):
    first, second = (scored(run(seed)).predictions for seed in (0, 1))
    both = ensemble_predictions([first, second])
    np.testing.assert_allclose(both.probs, (first.probs.astype(float) + second.probs) / 2, atol=1e-6)
    assert both.about.parameters == 2 * first.about.parameters
    assert both.about.model_sha256 not in (first.about.model_sha256, second.about.model_sha256)


def test_test_images_of_one_member_are_those_of_the_ensemble(run):
    first, second = (scored(run(seed)).predictions for seed in (0, 1))
    splits = {**second.about.trained_on["splits"], "train": {"split": "other"}}
    about = {"has_test": True, "test_images": "abc", "changed": ("other",)}
    trained_on = {"splits": {**splits, "other": {"split": "o"}}}
    second = replace(second, about=replace(second.about, trained_on=trained_on, **about))
    both = ensemble_predictions([first, second]).about
    assert (both.has_test, both.test_images) == (True, "abc")
    assert [text for text in _changes(both) if "other split (o)" in text]


def test_ensemble_of_different_label_spaces_is_rejected(run):
    first = scored(run()).predictions
    with pytest.raises(FerError, match="rafdb7"):
        ensemble_predictions([first, replace(first, labels=RAFDB7)])


def test_hash_of_a_model_depends_only_on_its_weights(run):
    one, other = run().checkpoint.model, run(seed=1).checkpoint.model
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
def test_recipe_hash_ignores_seed_paths_and_machine(change, same):
    assert (hash_recipe(CONFIG) == hash_recipe(CONFIG | change)) is same


def test_ferplus_on_a_model_of_seven_emotions(run, fer2013_csv):
    one = run()
    split = EvaluationData(one, "val", other=f"ferplus:{fer2013_csv.parent}").split
    dataset = EvaluationData(one, "val", other=f"ferplus:{fer2013_csv.parent}").dataset
    assert dataset.labels == FERPLUS8
    names = [dataset.labels.names[target] for target in dataset.targets[split.index]]
    assert [FER7.names[target] for target in split.target] == names
    assert "contempt" not in names
    assert list(split.left_out) == ["contempt, which the model cannot say"]
    assert len(split.index) + sum(split.left_out.values()) == (dataset.split == 1).sum()
    np.testing.assert_allclose(split.votes.sum(1), 1, rtol=1e-6)


def test_votes_are_mapped_by_name_and_renormalized():
    votes = np.zeros((2, 8), np.float32)
    votes[0, [FERPLUS8.index("happy"), FERPLUS8.index("contempt")]] = 0.6, 0.4
    votes[1, FERPLUS8.index("contempt")] = 1
    mapped = map_votes(votes, FERPLUS8, FER7)
    assert mapped[0, FER7.index("happy")] == pytest.approx(1)
    assert mapped[1].tolist() == [0] * 7


def test_emotions_without_an_image_are_named(fer2013_csv):
    data = read_fer2013(fer2013_csv)
    assert select_split(data, "val", FERPLUS8).absent == ("contempt",)


def test_no_emotion_in_common(fer2013_csv):
    data = read_fer2013(fer2013_csv)
    with pytest.raises(FerError, match="the model can predict"):
        select_split(data, "val", LabelSpace("other", ("contempt", "bored")))


def test_images_seen_in_training_are_counted(tmp_path, run, fer2013_csv):
    """Three training rows are repeated in validation, two of them with another label."""
    lines = fer2013_csv.read_text().splitlines()
    repeated = [
        line.replace("Training", "PublicTest") for line in (lines[1], "6" + lines[2][1:], "6" + lines[3][1:])
    ]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines + repeated) + "\n")
    one = run()
    table = scored(one, path=str(path)).predictions
    assert table.about.seen == {"train": 3}
    assert table.about.changed == ("val",)
    assert scored(one).predictions.about.changed == ()
    assert scored(one).predictions.about.seen == {"train": 0}


def test_seen_images_are_counted_in_another_data_set(run, fer2013_csv, tmp_path):
    path = tmp_path / "less.csv"
    path.write_text("".join(fer2013_csv.read_text().splitlines(keepends=True)[:-1]))
    about = scored(run(), "all", other=f"fer2013:{path}").predictions.about
    assert about.seen == {"train": 70, "val": 35}
    assert about.other_data


def test_a_moved_data_set_is_recognized(run, fer2013_csv, tmp_path):
    path = tmp_path / "moved.csv"
    path.write_bytes(fer2013_csv.read_bytes())
    assert not scored(run(), "val", other=f"fer2013:{path}").predictions.about.other_data


def test_seen_is_unknown_for_images_of_another_size_or_colour(run, fer2013_csv, tmp_path):
    """The pixels differ although the images are the same, so it is unknown whether they were seen."""
    data = read_fer2013(fer2013_csv)
    for row in np.flatnonzero(data.split == 0):
        folder = tmp_path / "faces" / "train" / data.labels.names[data.targets[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), data.images[row])
    other = f"folder:{tmp_path / 'faces'}"
    assert scored(run(), "train", other=other).predictions.about.seen == {
        "train": 63,
        "val": 0,
    }  # seven were carved out for validation
    large = run(seed=1)
    large.checkpoint.config["model"] = {**large.checkpoint.config["model"], "image_size": 46}
    assert scored(large, "train", other=other).predictions.about.seen == {"train": None, "val": None}


def test_seen_is_unknown_without_the_training_data(run, fer2013_csv, tmp_path):
    one = run()
    one.checkpoint.config["datamodule"]["path"] = str(tmp_path / "gone.csv")
    other = write(tmp_path, to_text(make_rows(14)), "other.csv")
    about = scored(one, "all", other=f"fer2013:{other}").predictions.about
    assert about.seen == {"train": None, "val": None}


def test_training_data_that_have_moved_are_recognized_by_the_manifest(run, fer2013_csv, tmp_path):
    one = run()
    one.checkpoint.config["datamodule"]["path"] = str(tmp_path / "gone.csv")
    about = scored(one, "val", other=f"fer2013:{fer2013_csv}").predictions.about
    assert (about.other_data, about.seen) == (False, {"train": 0})


def test_another_data_set_has_its_default_options(run):
    options = data_config(run().config, other="rafdb:/data/RAF-DB").to_dict()
    assert options["size"] == 48
    assert {"color": True, "val_fraction": 0.1, "path": "/data/RAF-DB"}.items() <= options.items()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batch_size_does_not_change_the_logits(batch_size, run, fer2013_csv):
    one, data = run(), read_fer2013(fer2013_csv)
    logits = infer(one.checkpoint.model, data, 48, batch_size).logits
    np.testing.assert_allclose(logits, infer(one.checkpoint.model, data, 48, 140).logits, atol=1e-5)


def test_best_or_last(run):
    folder = run().folder
    best = folder / "checkpoints" / "best.ckpt"
    best.rename(best.with_name("last.ckpt"))
    assert load_run(folder).path.name == "last.ckpt"
    with pytest.raises(FerError, match=r"best\.ckpt"):
        load_run(folder, "best")


def test_about_is_json(run):
    about = scored(run(), tta="flip").predictions.about
    assert About.from_dict(json.loads(json.dumps(about.to_dict()))) == about
