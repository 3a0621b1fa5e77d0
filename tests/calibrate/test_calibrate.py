"""fer-models calibrate, called through its main function, on images of a color that the model knows."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from tiny_bundle import SIDE, model_weights, training, validation, write_bundle

from fer import Predictor
from fer.analysis.metrics.temperature import scaled_probs
from fer.bundle import card as cards
from fer.bundle.cli import main
from fer.bundle.files import read_bundle
from fer.bundle.readme import readme
from fer.bundle.registry import Registry
from fer.bundle.runtime import OnnxClassifier
from fer.calibrate.images import _config, _read
from fer.core.labels import FER7
from fer.data.splits import joint_hash, manifest

SCHEMA = json.loads((Path(cards.__file__).parent / "card.schema.json").read_text())
MEAN = [0.2, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1]


@pytest.fixture
def bundle(tmp_path):
    val = validation(0.6, {"pixels_sha256": "a" * 64}) | {"mean_probs": MEAN}
    val["figures"]["log_loss"] = {"value": 1.0, "low": 0.9, "high": 1.1}
    manifest = {"image_shape": [SIDE, SIDE, 3], "splits": {}}
    return write_bundle(
        tmp_path / "bundle", metrics={"val": val}, training=training() | {"manifest": manifest}, seed=3
    )


def write_images(folder, number=70, seed=0, temperature=2.0):
    """Write images of random colors, with the labels that the tiny bundle would draw with a temperature."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (number, 3)).astype(np.uint8)
    probs = scaled_probs(colors / 255 @ model_weights(7, 3), temperature)
    for row, (color, prob) in enumerate(zip(colors, probs, strict=True)):
        path = folder / FER7.names[rng.choice(7, p=prob)] / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A pattern of its own, so that the images are no copies.
        noise = rng.integers(-8, 9, (12, 12, 1))
        image = cv2.resize(
            np.full((12, 12, 3), color[::-1]) + noise.astype(float), (SIDE, SIDE), None, 0, 0, 0
        )
        cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def calibrate(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments, model=bundle.folder):
        with pytest.raises(SystemExit) as exit_:
            main(["calibrate", *map(str, (model, *arguments))])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_a_calibration_makes_a_version_that_says_what_was_changed(bundle, calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 300)
    before = (bundle.folder / "card.json").read_bytes()
    status, output, error = calibrate("--data", f"folder:{folder}", "--name", "mine", "--accuracy", "0.3")
    assert status == 0, error
    assert "fitted on    mine (folder, all): 300 images" in output
    new = Registry(tmp_path / "models").load("mine:1")
    card = new.card
    jsonschema.validate(json.loads((new.folder / "card.json").read_text()), SCHEMA)
    assert (bundle.folder / "card.json").read_bytes() == before
    # The labels were drawn with half of the confidence, of a file whose card has a temperature of 1.2.
    assert card.temperature == pytest.approx(2.4, rel=0.25)
    assert card.export["calibration"]["n"] == 300
    assert card.abstain_below == card.export["calibration"]["threshold"]["confidence"]
    # What the app says of the threshold is not of the images that it was fitted on.
    threshold, measured = card.export["calibration"]["threshold"], card.metrics["calibration"]["figures"]
    assert threshold["coverage"] == measured["coverage"]["value"]
    assert threshold["accuracy"] == measured["selective_accuracy"]["value"]
    changed = card.export["recalibration"]
    assert changed["base"]["model"] == "tiny"
    assert changed["base"]["sha256"] == bundle.card.model["sha256"]
    assert changed["changed"] == ["temperature", "threshold"]
    part = card.metrics["calibration"]
    assert part["cross_fitted"]["folds"] == 5
    assert not part["selection_split"]
    assert sum(map(sum, part["confusion"])) == 300
    assert (
        part["figures"]["log_loss"]["value"]
        < card.metrics["before_calibration"]["figures"]["log_loss"]["value"]
    )
    # Earlier metrics of the predictions still hold, those of the confidence do not.
    assert card.metrics["val"]["figures"].keys() == {"accuracy", "macro_f1"}
    text = readme(card)
    assert "fitted again to mine (folder, all) (300 images); tiny has a temperature of 1.200" in text
    assert "cross-fitted in 5 folds" in text
    assert "before the calibration" in text


def test_all_ways_to_predict_give_the_same_answers(bundle, calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 100)
    assert calibrate("--data", f"folder:{folder}", "--name", "mine", "--priors")[0] == 0
    card = read_bundle(tmp_path / "models" / "mine" / "1").card
    faces = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    logits = 1.2 * np.log(OnnxClassifier(bundle)(faces).astype(np.float64))
    log_prior = np.array(card.export["recalibration"]["log_prior"])
    expected = scaled_probs(logits, card.temperature, log_prior)
    predictor = Predictor("mine", detector="none")
    (one,) = predictor(faces[0])
    np.testing.assert_allclose(list(one.probabilities.values()), expected[0], atol=1e-5)
    np.testing.assert_allclose(predictor.classifier(faces), expected, atol=1e-5)
    priors = card.export["recalibration"]["priors"]
    assert sum(priors["estimated"].values()) == pytest.approx(1)
    assert list(priors["training"].values()) == pytest.approx(MEAN)
    # No earlier metric holds with other priors; lists and pages show those of the calibration.
    assert card.metrics.keys() == {"calibration", "before_calibration"}
    assert cards.validation_metrics(card)["n"] == 100
    assert "adds a number to the logit of each emotion" in readme(card)


def test_biases_of_the_emotions(bundle, calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 100)
    status, output, _ = calibrate("--data", f"folder:{folder}", "--name", "mine", "--biases")
    assert status == 0
    assert "bias         happy" in output
    card = read_bundle(tmp_path / "models" / "mine" / "1").card
    faces = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    logits = 1.2 * np.log(OnnxClassifier(bundle)(faces).astype(np.float64))
    biases = np.array(card.export["recalibration"]["log_prior"])
    assert np.abs(biases).max() > 0.1
    expected = scaled_probs(logits, card.temperature, biases)
    np.testing.assert_allclose(Predictor("mine", detector="none").classifier(faces), expected, atol=1e-5)
    assert card.export["recalibration"]["changed"] == ["temperature", "threshold", "biases of the emotions"]
    # No earlier metric holds with other answers.
    assert card.metrics.keys() == {"calibration", "before_calibration"}
    assert f"happy {biases[card.labels.names.index('happy')]:+.2f}" in readme(card)


def test_a_version_is_calibrated_again_from_the_start(bundle, calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 100)
    assert calibrate("--data", f"folder:{folder}", "--name", "mine", "--priors")[0] == 0
    assert calibrate("--data", f"folder:{folder}", model="mine:1")[0] == 0
    assert calibrate("--data", f"folder:{folder}", "--name", "direct")[0] == 0
    registry = Registry(tmp_path / "models")
    again, direct = registry.load("mine:2"), registry.load("direct:1")
    assert again.card.temperature == pytest.approx(direct.card.temperature, rel=1e-3)
    assert again.card.export["recalibration"]["base"]["model"] == "mine:1"
    faces = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    np.testing.assert_allclose(OnnxClassifier(again)(faces), OnnxClassifier(direct)(faces), atol=1e-4)


def test_priors_of_images_without_labels(calibrate, tmp_path):
    folder, place = write_images(tmp_path / "mine", 60), tmp_path / "place"
    place.mkdir()
    for number, path in enumerate(sorted(write_images(tmp_path / "other", 80, seed=5).rglob("*.png"))):
        path.rename(place / f"{number}.png")
    status, output, error = calibrate("--data", f"folder:{folder}", "--name", "mine", "--priors", place)
    assert status == 0, error
    assert "priors       happy" in output
    card = read_bundle(tmp_path / "models" / "mine" / "1").card
    assert card.export["recalibration"]["priors"]["n"] == 80


def test_images_of_a_person_are_in_one_fold(calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 60)
    for row, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_name(f"p{row % 12}_{row}.png"))
    status, output, _ = calibrate("--data", f"folder:{folder}", "--group", r"(p\d+)_")
    assert status == 0
    assert r"60 images, in 12 groups ((p\d+)_" in output
    status, _, error = calibrate("--data", f"folder:{folder}", "--group", r"p(\d)\d*_")
    assert status == 0
    status, _, error = calibrate("--data", f"folder:{folder}", "--group", r"(p1?)")
    assert status == 2
    assert "expected images of at least 5 people or videos" in error


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (
            ("--data", "folder:few"),
            "expected at least 50 images with an emotion of the model to fit on, got 20",
        ),
        (("--data", "few"), "--data few: expected kind:path with one of these kinds"),
        (("--data", "folder:nowhere"), "nowhere"),
        (("--data", "folder:mine", "--name", "a/b"), "--name: expected only letters"),
        (("--data", "folder:mine", "--split", "val"), "expected a val split"),
        (("--data", "folder:mine", "--priors", "nothing"), "expected a folder of images"),
        (("--data", "rafdb:mine", "--labels", "sad,happy"), "--labels: expected --data folder:PATH"),
        (("--data", "folder:mine", "--group", "("), "invalid expression"),
    ],
)
def test_mistakes_write_nothing(calibrate, tmp_path, arguments, part):
    write_images(tmp_path / "few", 20)
    write_images(tmp_path / "mine", 60)
    status, _, error = calibrate(*arguments)
    assert status == 2
    assert part in error
    assert error.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_options_that_would_have_no_effect_are_refused(calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 60)
    status, _, error = calibrate("--data", f"folder:{folder}", "--detector", "haar")
    assert (status, error.count("\n")) == (2, 1)
    assert "--detector haar: expected --faces with it, got none. Add --faces." in error
    pixels = " ".join(["0"] * SIDE * SIDE)
    rows = "".join(f"{number % 7},{pixels},PublicTest\n" for number in range(60))
    (tmp_path / "fer.csv").write_text(f"emotion,pixels,Usage\n{rows}")
    status, _, error = calibrate("--data", f"fer2013:{tmp_path / 'fer.csv'}", "--group", "(.*)_")
    assert status == 2
    assert "--group (.*)_: expected image files with it, got pixels of faces. Omit --group." in error


def test_the_folder_of_priors_is_checked_before_the_images_are_read(calibrate, tmp_path):
    (tmp_path / "few").mkdir()
    for folder, message in (("none", "expected a folder of images"), ("few", "expected images")):
        status, _, error = calibrate("--data", "folder:mine", "--priors", tmp_path / folder)
        assert (status, error.count("\n")) == (2, 1)
        assert error.startswith(f"error: --priors {tmp_path / folder}: {message}")


def test_photographs_without_faces_are_counted(calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 60)
    status, _, error = calibrate("--data", f"folder:{folder}", "--faces", "--detector", "haar")
    assert status == 2
    assert "expected at least 50 images with a detected face to fit on, got 0" in error


def test_training_images_and_unknown_priors_are_refused(bundle, calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 60)
    assert calibrate("--data", f"folder:{folder}", "--name", "mine")[0] == 0
    hashes = read_bundle(tmp_path / "models" / "mine" / "1").card.metrics["calibration"]["manifest"]
    manifest = {"image_shape": [SIDE, SIDE, 3], "splits": {"train": hashes | {"class_counts": {"happy": 3}}}}
    selected = training() | {"manifest": manifest | {"splits": {"val": hashes}}}
    assert calibrate("--data", f"folder:{folder}", "--name", "selected",
                     model=write_bundle(tmp_path / "selected", training=selected).folder)[0] == 0  # fmt: skip
    card = read_bundle(tmp_path / "models" / "selected" / "1").card
    assert card.metrics["calibration"]["selection_split"]
    trained = write_bundle(tmp_path / "trained", training=training() | {"manifest": manifest})
    status, _, error = calibrate("--data", f"folder:{folder}", model=trained.folder)
    assert status == 2
    assert "expected images that the model was not trained on, got its training images" in error
    status, _, error = calibrate("--data", f"folder:{folder}", "--priors", model=trained.folder)
    assert status == 2
    assert "--priors: expected the number of training images of each emotion on the card of tiny" in error


@pytest.mark.parametrize("key", ["pixels_sha256", "carved_sha256"])
def test_training_images_among_others_are_refused(calibrate, tmp_path, key):
    """With --split all, and without a published split if a validation split was carved out."""
    folder = write_images(tmp_path / "mine" / "train", 60)
    if key == "pixels_sha256":
        write_images(tmp_path / "mine" / "val", 20, seed=1)
    data = _read(_config(read_bundle(tmp_path / "bundle").card, f"folder:{folder.parent}", None, "none"))
    data = replace(data, images=data.images.read_all()[0])
    hashes = {
        "pixels_sha256": {"splits": {"train": manifest(data)["splits"]["train"]}},
        "carved_sha256": {"carved_sha256": joint_hash(data)},
    }
    trained_on = {"image_shape": [SIDE, SIDE, 3]} | hashes[key]
    trained = write_bundle(tmp_path / "trained", training=training() | {"manifest": trained_on})
    status, _, error = calibrate("--data", f"folder:{folder.parent}", "--split", "all", model=trained.folder)
    assert status == 2
    assert "got its training images" in error


def test_data_in_the_current_folder_has_its_name(calibrate, tmp_path, monkeypatch):
    monkeypatch.chdir(write_images(tmp_path / "mine", 60))
    status, output, _ = calibrate("--data", "folder:.", "--name", "mine", "--accuracy", "0.5")
    assert status == 0
    assert "fitted on    mine (folder, " in output


def test_what_speaks_against_a_version_is_printed(calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 60)
    for path in (folder / "disgust").glob("*"):
        path.rename(folder / "happy" / path.name)
    (folder / "disgust").rmdir()
    status, output, error = calibrate("--data", f"folder:{folder}", "--accuracy", "0.99")
    assert status == 0
    assert "threshold    0.500 -> none: every prediction is uncertain" in output
    assert "no threshold reaches the accuracy with certainty on 60 images" in error
    assert "it has no image of disgust" in error


def test_it_needs_no_torch():
    code = "import sys, fer.calibrate.cli; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("model", "options"), [("fer2013_48px", ()), ("downloaded", ()), ("tiny", ("--name", "fer2013_48px"))]
)
def test_a_version_that_would_hide_a_model_of_the_package_is_refused(calibrate, tmp_path, model, options):
    write_bundle(tmp_path / "downloaded", name="fer2013")
    write_bundle(tmp_path / "tiny")
    status, _, error = calibrate("--data", "folder:mine", *options, model=model)
    assert status == 2
    assert "is a model of the package, which a registered model of this name would hide" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_a_missing_package_is_named(calibrate, monkeypatch):
    monkeypatch.setitem(sys.modules, "fer.calibrate.cli", None)
    monkeypatch.delitem(sys.modules, "fer.calibrate.cli")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "fer.calibrate.graph", raising=False)
    monkeypatch.delitem(sys.modules, "fer.calibrate.calibrate", raising=False)
    status, _, error = calibrate("--data", "folder:mine")
    assert status == 2
    assert "expected the package onnx, which is not installed" in error
    assert "pip install 'fer-lightning[calibrate]'" in error


@pytest.mark.slow
def test_an_evaluation_on_the_same_images_says_so(calibrate, tmp_path):
    from fer.analysis.about import About
    from fer.evaluation.bundles import load_model
    from fer.evaluation.data import EvaluationData
    from fer.evaluation.ledger import History
    from fer.evaluation.sections.protocol import warning_sections

    folders = [write_images(tmp_path / name, 60, seed) for name, seed in (("mine", 0), ("other", 9))]
    assert calibrate("--data", f"folder:{folders[0]}", "--name", "mine")[0] == 0
    run = load_model("mine:1")
    texts = []
    for folder in folders:
        split = EvaluationData(run, "all", other=f"folder:{folder}").split
        about = About(run=run.name, role="all", other_data=True, manifest=split.manifest(),
                      trained_on=run.checkpoint.manifest)  # fmt: skip
        sections = warning_sections(about, History(0, 0, 0, 0))
        texts.append([text for section in sections for text in section.paragraphs])
    assert texts[0][0].startswith("The temperature and threshold of mine:1")
    assert texts[1] == []


def test_a_version_that_is_worse_is_named(calibrate, tmp_path):
    folder = write_images(tmp_path / "mine", 100, seed=2, temperature=1.0)
    place = tmp_path / "place"
    place.mkdir()
    # Faces of one emotion only, unlike those with labels.
    for number in range(60):
        (place / f"{number}.png").write_bytes(sorted(folder.rglob("*.png"))[-1].read_bytes())
    status, _, error = calibrate("--data", f"folder:{folder}", "--name", "mine", "--priors", place)
    assert status == 0
    assert (
        "it is worse than before on images that it was not fitted on. Omit --priors, or keep tiny." in error
    )
