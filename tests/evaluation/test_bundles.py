"""Evaluating exported models: what the ONNX file answers, with the facts of its card."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from untrained_run import write_run

from fer.bundle.registry import ZOO
from fer.core.errors import FerError
from fer.evaluation.evaluate import evaluate
from fer.export.export import export

pytestmark = pytest.mark.usefixtures("few_sections")


@pytest.fixture
def fer2013(fer2013_csv):
    return f"fer2013:{fer2013_csv}"


@pytest.fixture
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("exported_once")
def test_a_bundle_answers_like_its_run_after_calibration(outputs, data, fer2013, in_tmp_path):
    run = write_run(outputs, data)
    bundle = export(run)
    scored, expected = (evaluate(one, data=fer2013, split="val") for one in (bundle.folder, run))
    temperature = bundle.card.temperature
    logits = expected.predictions.logits / temperature
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(scored.predictions.probs, probs, atol=1e-3)
    # The card's manifest tells that these are the images that selected the model.
    about = scored.predictions.about
    assert (about.other_data, about.role, about.changed) == (False, "val", ())
    assert about.parameters == bundle.card.model["parameters"]


def test_a_model_of_the_package_by_name_on_other_data(fer2013, in_tmp_path, tmp_path):
    before = sorted(ZOO.rglob("*"))
    report = evaluate("fer2013_48px", data=fer2013, split="val", tta="flip")
    about = report.predictions.about
    assert (about.other_data, about.image_size, about.model) == (True, 48, "fast_cnn")
    assert report.page.is_relative_to(Path("outputs/evaluate/fer2013_48px"))
    assert (tmp_path / report.page).is_file()
    # Nothing is written into the package.
    assert sorted(ZOO.rglob("*")) == before


def test_corruptions_of_a_bundle(fer2013, in_tmp_path):
    report = evaluate("fer2013_48px", data=fer2013, split="val", corruptions=True, corruption_images=7)
    assert any(section.key == "robustness" for section in report.sections)


def test_a_bundle_needs_data(in_tmp_path):
    with pytest.raises(FerError, match=r"fer2013_48px: expected --data with an exported model"):
        evaluate("fer2013_48px")


def test_an_unknown_name_is_a_missing_run(in_tmp_path):
    with pytest.raises(FerError, match=r"fer2014: expected a run, but the path does not exist"):
        evaluate("fer2014")


@pytest.mark.slow
def test_the_accuracy_of_the_package_s_model_is_that_of_its_card(in_tmp_path):
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    csv = Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv"
    report = evaluate("fer2013_48px", data=f"fer2013:{csv}", split="val")
    card = json.loads((ZOO / "fer2013_48px" / "card.json").read_text())
    figures = card["metrics"]["val"]["figures"]
    assert report.metrics["accuracy"].value == pytest.approx(figures["accuracy"]["value"], abs=0.002)
    assert report.predictions.about.other_data is False
