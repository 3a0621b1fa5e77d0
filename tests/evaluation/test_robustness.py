"""Scores on corrupted images: fer-evaluate --corruptions, and the numbers in its report."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from image_layouts import write_folder
from report_files import ledger, numbers
from untrained_run import write_run

import fer
from fer.analysis.metrics.classification import score
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.core.paths import CONFIG_DIR
from fer.evaluation.corruptions import CORRUPTIONS, STRENGTHS
from fer.evaluation.output import log_report
from fer.evaluation.robustness import CLEAN, CONDITIONS, CorruptionOptions, measure_robustness
from fer.evaluation.runs import load_run
from fer.evaluation.score import predict_images

pytestmark = pytest.mark.usefixtures("few_sections")


def predictions_for(images, predict, target):
    count = len(images)
    probs = predict(images)
    source = np.array([f"row {row}" for row in range(count)])
    return Predictions(FER7, np.arange(count), target, np.log(probs), probs, None, source)


def by_brightness(images):
    """Return probabilities ``(N, 7)``: the emotion is one of seven ranges of the mean level."""
    emotion = np.minimum(images.mean((1, 2, 3)) // 37, 6).astype(int)
    probs = np.full((len(images), 7), 0.05, np.float32)
    probs[np.arange(len(images)), emotion] = 0.7
    return probs


@pytest.fixture
def flat_images():
    """Flat gray images, ``(140, 16, 16, 1)``, and the emotions that `by_brightness` sees in them."""
    target = np.arange(140) % 7
    return np.repeat((37 * target + 20).astype(np.uint8), 256).reshape(-1, 16, 16, 1), target


def test_scores_are_those_of_the_corrupted_images(flat_images, capsys):
    images, target = flat_images
    predictions = predictions_for(images, by_brightness, target)
    result = measure_robustness(predictions, images, by_brightness, CorruptionOptions())
    assert result.accuracy.keys() == result.ece.keys() == {CLEAN, *CONDITIONS}
    assert result.accuracy[CLEAN].value == 1
    # Blur, rotation and resolution do not change a flat image
    unchanged = ("blur", "rotation", "low_resolution")
    assert all(result.mean_accuracy[name].value == 1 for name in unchanged)
    assert result.accuracy["darkness", 5].value == pytest.approx(1 / 7)
    values = [result.accuracy[condition].value for condition in CONDITIONS]
    assert result.mean_accuracy["mean"].value == pytest.approx(np.mean(values))
    assert result.loss["mean"].value == pytest.approx(1 - np.mean(values))
    eces = [result.ece["darkness", strength].value for strength in STRENGTHS]
    assert result.mean_ece["darkness"].value == pytest.approx(np.mean(eces))
    assert result.mean_ece["darkness"].low <= np.mean(eces) <= result.mean_ece["darkness"].high
    assert "35 passes over 140 images, about" in capsys.readouterr().err


def test_scores_without_corruption_agree_with_the_scores_of_the_report(flat_images):
    images, target = flat_images
    target = np.where(np.arange(140) % 3, target, 0)
    predictions = predictions_for(images, by_brightness, target)
    result = measure_robustness(predictions, images, by_brightness, CorruptionOptions())
    expected = score(target, predictions.probs, FER7.names)
    for mine, theirs in ((result.accuracy, expected["accuracy"]), (result.ece, expected["ece_mass"])):
        assert mine[CLEAN].value == pytest.approx(theirs.value, abs=1e-6)
        assert mine[CLEAN].low == pytest.approx(theirs.low, abs=0.02)
        assert mine[CLEAN].high == pytest.approx(theirs.high, abs=0.02)


def test_a_model_that_is_always_wrong_has_no_loss(flat_images):
    images, target = flat_images
    predictions = predictions_for(images, by_brightness, (target + 1) % 7)
    loss = measure_robustness(predictions, images, by_brightness, CorruptionOptions()).loss["mean"]
    assert (loss.value, loss.note) == (None, "no image is classified correctly without corruption")


def test_a_report_with_corruptions(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    status, output, _ = fer_evaluate(run, "--corruptions")
    assert status == 0
    report = numbers(run / "report" / "val")
    content = report["robustness"]
    assert (content["images"], content["of"], content["seed"]) == (35, 35, 0)
    assert content["corruptions"].keys() == CORRUPTIONS.keys()
    assert content["clean"]["accuracy"]["value"] == report["scores"]["accuracy"]["value"]
    blur = content["corruptions"]["blur"]
    assert [blur["strengths"][str(one)]["parameter"] for one in STRENGTHS] == [0.6, 0.9, 1.3, 1.8, 2.4]
    assert blur["strengths"]["5"]["ece"].keys() == {"value", "low", "high", "n", "note"}
    mean = content["mean_corruption_accuracy"]
    assert mean["low"] <= mean["value"] <= mean["high"]
    assert f"corruptions, mean   accuracy {100 * mean['value']:.1f}" in output
    text = (run / "report" / "val" / "report.md").read_text()
    assert "Robustness to corruptions" in text
    assert ledger(outputs) == []


def test_the_same_seed_gives_the_same_scores(outputs, data):
    run = write_run(outputs, data)
    first, same, other = (
        fer.evaluate(run, corruptions=True, corruption_images=20, corruption_seed=seed) for seed in (3, 3, 4)
    )
    keys = ("mean_corruption_accuracy", "mean_corruption_ece", "relative_loss", "relative_loss_middle")
    assert all(first.metrics[key] == same.metrics[key] for key in keys)
    assert first.metrics[keys[1]] != other.metrics[keys[1]]
    assert first.metrics[keys[0]].n == 20
    assert first.metrics["accuracy"].n == 35


def test_test_images_are_recorded_once_with_their_clean_score(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    assert fer_evaluate(run, "--split", "test", "--corruptions", "--tta", "flip")[0] == 0
    (entry,) = ledger(outputs)
    folder = run / "report" / "test_flip"
    assert entry["result"]["accuracy"] == numbers(folder)["scores"]["accuracy"]
    text = (folder / "report.md").read_text()
    assert "the ledger has one entry for this evaluation" in text
    assert "do not use the test-time augmentation" in text


@pytest.mark.parametrize("color", [True, False])
def test_images_on_disk_give_the_same_scores_as_in_memory(outputs, tmp_path, color):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set")), "size": 40, "color": color}
    metrics = []
    for memory_gb in (2.0, 0.0):
        name = f"12-00-00_held{memory_gb:.0f}_s0_abcd"
        run = write_run(outputs, {**data, "memory_gb": memory_gb}, name=name)
        metrics.append(fer.evaluate(run, corruptions=True).metrics)
    assert metrics[0] == metrics[1]


def test_of_several_seeds_the_median_run_is_scored(outputs, data):
    runs = [write_run(outputs, data, seed=seed) for seed in range(3)]
    report = fer.evaluate(runs, corruptions=True)
    content = next(section.numbers for section in report.sections if section.key == "robustness")
    assert content["clean"]["accuracy"].value == np.median(
        [result.estimates["accuracy"].value for result in report.results]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--corruption-images", "10"], "--corruption-images 10: expected --corruptions with it, got none."),
        (["--corruption-seed", "0"], "--corruption-seed 0: expected --corruptions with it, got none."),
        (["--corruptions", "--corruption-seed", "-1"], "--corruption-seed: expected 0 or more, got -1."),
    ],
)
def test_wrong_options_are_one_line(fer_evaluate, outputs, data, options, message):
    status, _, error = fer_evaluate(write_run(outputs, data), *options)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


def test_of_an_ensemble_the_mean_of_the_probabilities_is_scored(outputs, data):
    runs = [load_run(write_run(outputs, data, seed=seed)) for seed in range(2)]
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), np.uint8)
    mean = (predict_images(runs[:1], images) + predict_images(runs[1:], images)) / 2
    assert predict_images(runs, images) == pytest.approx(mean, abs=1e-6)
    report = fer.evaluate([run.folder for run in runs], ensemble=True, corruptions=True)
    content = next(section.numbers for section in report.sections if section.key == "robustness")
    assert content["clean"]["accuracy"].value == report.metrics["accuracy"].value


def test_members_with_other_image_sizes_are_refused_and_nothing_is_recorded(fer_evaluate, outputs, tmp_path):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set"))}
    runs = [write_run(outputs, {**data, "size": 40 + 8 * seed}, seed=seed) for seed in range(2)]
    status, _, error = fer_evaluate(*runs, "--ensemble", "--corruptions", "--split", "test")
    assert status == 2
    assert "--corruptions: expected an ensemble whose members read the images in one size and color" in error
    assert ledger(outputs) == []


def test_no_images_is_refused_from_python(outputs, data):
    with pytest.raises(fer.FerError, match="--corruption-images: expected 1 or more, got 0"):
        fer.evaluate(write_run(outputs, data), corruptions=True, corruption_images=0)


def test_the_means_are_in_the_summary_of_wandb(outputs, data, monkeypatch):
    # W&B takes seconds to load
    stub = SimpleNamespace(Table=lambda **content: content, Image=lambda image, caption: image)
    monkeypatch.setitem(sys.modules, "wandb", stub)
    report = fer.evaluate(write_run(outputs, data), corruptions=True)
    logged, summary = {}, {}

    class Run:
        """Keeps what is logged."""

        log = staticmethod(logged.update)

        def __init__(self):
            self.summary = summary

    log_report(Run(), report.sections, "report/fer2013/val")
    prefix = "report/fer2013/val/robustness"
    expected = report.metrics["mean_corruption_accuracy"]
    assert summary[f"{prefix}/mean_corruption_accuracy"] == expected.value
    assert summary[f"{prefix}/mean_corruption_accuracy_low"] == expected.low
    assert summary[f"{prefix}/relative_loss_n"] == 35
    names = ("accuracy", "ece", "strengths", "robustness", "corrupted_faces")
    assert {f"{prefix}/{name}" for name in names} <= logged.keys()
