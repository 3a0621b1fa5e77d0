from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from scipy.special import softmax

from fer.analysis.calibration import calibrate, section
from fer.analysis.calibration_plots import plot_reliability, plot_risk_coverage
from fer.analysis.confidence import calibrated_probs, calibration_figures, is_fitted_here, judged
from fer.analysis.predictions import Predictions
from fer.analysis.scores import score
from fer.analysis.selective import aurc, threshold_for
from fer.analysis.temperature import cross_fitted_probs, fit_temperature, scaled_probs
from fer.errors import FerError
from fer.labels import FER7


def too_sure(n=1200, seed=0, role="val", true=2.0):
    """Predictions of a model whose logits are twice too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, 7)).astype(np.float32)
    target = (softmax(logits / true, 1).cumsum(1) > rng.random((n, 1))).argmax(1)
    about = {
        "role": role,
        "split": "PublicTest",
        "model_sha256": "ab",
        "manifest": {"pixels": f"{role}{seed}"},
    }
    probs = softmax(logits, 1)
    return Predictions(FER7, np.arange(n), target, logits, probs, None, np.full(n, "x"), about)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes most of a section's time, and one test looks at it."""
    monkeypatch.setattr("fer.analysis.calibration.png_bytes", lambda figure: b"")


def test_calibrate_fits_on_validation_and_notes_what_it_is_for():
    predictions = too_sure()
    found = calibrate(predictions, wanted=(0.8,))
    assert found.temperature == fit_temperature(predictions.logits, predictions.target)
    assert found.low < 2.0 < found.high
    confidence, correct = judged(scaled_probs(predictions.logits, found.temperature), predictions.target)
    assert found.thresholds == (threshold_for(0.8, confidence, correct),)
    assert (found.role, found.split, found.n, found.model_sha256) == ("val", "PublicTest", 1200, "ab")
    assert found.manifest_sha256 != calibrate(too_sure(seed=1)).manifest_sha256


@pytest.mark.parametrize("role", ["test", "train", None])
def test_no_other_split_is_fitted_on(role):
    with pytest.raises(FerError, match="--split val"):
        calibrate(too_sure(role=role))


def test_validation_is_judged_cross_fitted_and_test_as_it_is():
    val, test = too_sure(), too_sure(seed=5, role="test")
    calibration = calibrate(val)
    assert is_fitted_here(val, calibration)
    assert not is_fitted_here(test, calibration)
    assert (calibrated_probs(val, calibration) == cross_fitted_probs(val.logits, val.target)).all()
    assert (calibrated_probs(test, calibration) == scaled_probs(test.logits, calibration.temperature)).all()


def test_other_validation_images_are_not_fitted_on():
    """A data set of its own, evaluated on its validation part, is new to the temperature."""
    assert not is_fitted_here(too_sure(seed=9), calibrate(too_sure()))


def test_figures_are_those_of_the_scores_and_of_the_curve():
    predictions = too_sure()
    found = calibration_figures(predictions.target, predictions.probs, resamples=60, seed=4)
    scores = score(predictions.target, predictions.probs, FER7.names, resamples=60, seed=4)
    assert all(found[name] == scores[name] for name in ("ece_mass", "ece_width", "log_loss", "brier"))
    assert found["aurc"].value == aurc(*judged(predictions.probs, predictions.target))
    assert found["aurc"].low < found["aurc"].value < found["aurc"].high
    assert 0 < found["ece_debiased"].value < found["ece_mass"].value


def test_section_shows_that_calibration_helped():
    predictions = too_sure()
    calibration = calibrate(predictions)
    found = section(predictions, calibration, resamples=200)
    before, after = (found.numbers[when]["ece_mass"] for when in ("before", "after"))
    assert after.high < before.low
    assert "too sure of itself" in found.words[0]
    assert "cross-fitted" in found.words[0]
    assert found.numbers["cross_fitted"]
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    assert [picture.name for picture in found.pictures] == ["reliability", "risk_coverage"]
    assert all(picture.png.startswith(b"\x89PNG") for picture in found.pictures)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (7, "it was fitted on 7 of these images"),
        (None, "whether it was fitted on some of these images is not"),
    ],
)
def test_another_set_with_images_of_validation_is_said_so(no_pictures, seen, words):
    copies = too_sure(seed=5)
    copies.about.update(other_data=True, seen={"val": seen})
    assert words in section(copies, calibrate(too_sure()), resamples=20).words[0]


def test_too_few_validation_images_are_not_called_cross_fitted(no_pictures):
    few = too_sure(n=3)
    found = section(few, calibrate(few), resamples=20)
    assert "too few for 5 parts" in found.words[0]
    assert found.numbers["cross_fitted"] is False


def test_section_of_another_split_checks_the_promise_there(no_pictures):
    test = too_sure(seed=5, role="test")
    test.about["seen"] = {"val": 0}
    calibration = calibrate(too_sure(), wanted=(0.8, 0.9999))
    found = section(test, calibration, resamples=50)
    promised, here = found.numbers["thresholds"][0]["promised"], found.numbers["thresholds"][0]["here"]
    answered = scaled_probs(test.logits, calibration.temperature).max(1) >= promised.confidence
    assert here.n == answered.sum()
    assert here.value == pytest.approx((test.preds == test.target)[answered].mean())
    assert "nothing was fitted on these images" in found.words[0]
    assert found.tables[1].rows[1][:3] == ("100 %", "cannot be reached", None)


def test_section_of_all_images_says_that_those_it_was_fitted_on_are_among_them(no_pictures):
    found = section(too_sure(seed=5, role="all"), calibrate(too_sure(), wanted=(0.8,)), resamples=50)
    assert "the images it was fitted on are among these" in found.words[0]


def test_section_without_a_temperature_fits_none(no_pictures):
    found = section(too_sure(role="test"), None, resamples=50)
    assert "There is no temperature" in found.words[0]
    assert list(found.tables[0].columns) == ["metric", "before", "95 % interval", "n"]
    assert "after" not in found.numbers
    assert found.numbers["temperature"] is None


def test_a_model_that_is_always_right_is_told_without_a_fuss(no_pictures):
    predictions = too_sure(300)
    logits = 9 * np.eye(7, dtype=np.float32)[predictions.target]
    right = replace(predictions, logits=logits, probs=softmax(logits, 1))
    found = section(right, calibrate(right), resamples=50)
    assert "end of its range" in found.words[-1]


def test_reliability_dots_are_mean_confidence_and_accuracy_of_equal_parts():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 1500)
    correct = rng.random(1500) < confidence
    fig = plot_reliability({"Before": (confidence, correct)}, "t")
    dots = sorted(
        tuple(np.ravel(line.get_xydata())) for line in fig.axes[0].lines if line.get_marker() == "o"
    )
    parts = np.array_split(np.argsort(confidence), 15)
    assert np.array(dots) == pytest.approx(
        np.array([(confidence[p].mean(), correct[p].mean()) for p in parts])
    )


def test_risk_coverage_marks_the_thresholds_that_can_be_reached():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 800)
    correct = rng.random(800) < confidence
    thresholds = [threshold_for(wanted, confidence, correct) for wanted in (0.8, 0.999)]
    fig = plot_risk_coverage(confidence, correct, thresholds, "t")
    words = [text.get_text() for text in fig.axes[0].texts]
    assert [text for text in words if "from confidence" in text] == [
        f"at least 80 % from confidence {100 * thresholds[0].confidence:.0f} %"
    ]
    assert f"all answered: {100 * correct.mean():.1f} %" in words


@pytest.mark.parametrize("n", [1, 3, 16])
def test_few_images_still_make_pictures(n):
    confidence, correct = np.linspace(0.3, 1, n), np.ones(n, bool)
    assert isinstance(plot_reliability({"Before": (confidence, correct)}, "t"), Drawing)
    assert isinstance(plot_risk_coverage(confidence, correct, [], "t"), Drawing)
