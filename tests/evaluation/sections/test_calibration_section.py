from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import softmax

from fer.analysis.about import About
from fer.analysis.metrics.calibration import (
    calibrate,
    calibrated_probs,
    calibration_estimates,
    confidence_and_correct,
    is_fitted_on,
)
from fer.analysis.metrics.classification import score
from fer.analysis.metrics.selective import aurc, threshold_for
from fer.analysis.metrics.temperature import cross_fitted_probs, fit_temperature, scaled_probs
from fer.analysis.plots.calibration import plot_reliability, plot_risk_coverage
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.evaluation.sections.calibration import calibration_section


def overconfident(n=1200, seed=0, role="val", true=2.0):
    """Predictions of a model whose logits are twice too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, 7)).astype(np.float32)
    target = (softmax(logits / true, 1).cumsum(1) > rng.random((n, 1))).argmax(1)
    manifest = {"pixels": f"{role}{seed}"}
    about = About(role=role, split="PublicTest", model_sha256="ab", manifest=manifest)
    probs = softmax(logits, 1)
    return Predictions(FER7, np.arange(n), target, logits, probs, None, np.full(n, "x"), about)


@pytest.fixture
def no_plots(monkeypatch):
    """Skip rendering, which takes most of the time of a section."""
    monkeypatch.setattr("fer.evaluation.sections.calibration.png_bytes", lambda figure: b"")


def test_calibrate_fits_on_validation_and_records_its_origin():
    predictions = overconfident()
    calibration = calibrate(predictions, accuracies=(0.8,))
    assert calibration.temperature == fit_temperature(predictions.logits, predictions.target)
    assert calibration.low < 2.0 < calibration.high
    confidence, correct = confidence_and_correct(
        scaled_probs(predictions.logits, calibration.temperature), predictions.target
    )
    assert calibration.thresholds == (threshold_for(0.8, confidence, correct),)
    assert (calibration.role, calibration.split, calibration.n, calibration.model_sha256) == (
        "val",
        "PublicTest",
        1200,
        "ab",
    )
    assert calibration.manifest_sha256 != calibrate(overconfident(seed=1)).manifest_sha256


@pytest.mark.parametrize("role", ["test", "train", None])
def test_other_splits_are_rejected(role):
    with pytest.raises(FerError, match="--split val"):
        calibrate(overconfident(role=role))


def test_validation_is_cross_fitted_and_test_is_not():
    val, test = overconfident(), overconfident(seed=5, role="test")
    calibration = calibrate(val)
    assert is_fitted_on(val, calibration)
    assert not is_fitted_on(test, calibration)
    assert (calibrated_probs(val, calibration) == cross_fitted_probs(val.logits, val.target)).all()
    assert (calibrated_probs(test, calibration) == scaled_probs(test.logits, calibration.temperature)).all()


def test_validation_images_of_another_set_are_not_the_fitted_ones():
    """The temperature was not fitted on the validation split of another data set."""
    assert not is_fitted_on(overconfident(seed=9), calibrate(overconfident()))


def test_estimates_match_scores_and_aurc():
    predictions = overconfident()
    estimates = calibration_estimates(predictions.target, predictions.probs, resamples=60, seed=4)
    scores = score(predictions.target, predictions.probs, FER7.names, resamples=60, seed=4)
    assert all(estimates[name] == scores[name] for name in ("ece_mass", "ece_width", "log_loss", "brier"))
    assert estimates["aurc"].value == aurc(*confidence_and_correct(predictions.probs, predictions.target))
    assert estimates["aurc"].low < estimates["aurc"].value < estimates["aurc"].high
    assert 0 < estimates["ece_debiased"].value < estimates["ece_mass"].value


def test_section_shows_that_calibration_helped():
    predictions = overconfident()
    calibration = calibrate(predictions)
    section = calibration_section(predictions, calibration)
    before, after = (section.numbers[when]["ece_mass"] for when in ("before", "after"))
    assert after.high < before.low
    assert "overconfident" in section.paragraphs[0]
    assert "cross-fitted" in section.paragraphs[0]
    assert section.numbers["cross_fitted"]
    assert all(len(row) == len(table.columns) for table in section.tables for row in table.rows)
    assert [plot.name for plot in section.plots] == ["reliability", "risk_coverage"]
    assert all(plot.png.startswith(b"\x89PNG") for plot in section.plots)


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (7, "it was fitted on 7 of these images"),
        (None, "whether it was fitted on some of these images is unknown"),
    ],
)
def test_overlap_with_validation_images_is_reported(no_plots, seen, text):
    copies = overconfident(seed=5)
    copies = replace(copies, about=replace(copies.about, other_data=True, seen={"val": seen}))
    assert text in calibration_section(copies, calibrate(overconfident())).paragraphs[0]


def test_too_few_validation_images_are_not_cross_fitted(no_plots):
    few = overconfident(n=3)
    section = calibration_section(few, calibrate(few))
    assert "too few for 5 folds" in section.paragraphs[0]
    assert section.numbers["cross_fitted"] is False


def test_section_of_another_split_measures_thresholds_there(no_plots):
    test = overconfident(seed=5, role="test")
    test = replace(test, about=replace(test.about, seen={"val": 0}))
    calibration = calibrate(overconfident(), accuracies=(0.8, 0.9999))
    section = calibration_section(test, calibration)
    promised, here = section.numbers["thresholds"][0]["promised"], section.numbers["thresholds"][0]["here"]
    answered = scaled_probs(test.logits, calibration.temperature).max(1) >= promised.confidence
    assert here.n == answered.sum()
    assert here.value == pytest.approx((test.preds == test.target)[answered].mean())
    assert "it was fitted on none of these images" in section.paragraphs[0]
    assert section.tables[1].rows[1][:3] == ("100 %", "cannot be reached", None)


def test_section_of_all_images_mentions_the_fitted_ones(no_plots):
    section = calibration_section(
        overconfident(seed=5, role="all"), calibrate(overconfident(), accuracies=(0.8,))
    )
    assert "these images include the ones it was fitted on" in section.paragraphs[0]


def test_section_without_a_temperature_does_not_fit_one(no_plots):
    section = calibration_section(overconfident(role="test"), None)
    assert "There is no temperature" in section.paragraphs[0]
    assert list(section.tables[0].columns) == ["metric", "before", "95 % interval", "n"]
    assert "after" not in section.numbers
    assert section.numbers["temperature"] is None


def test_a_model_without_errors_gets_a_range_warning(no_plots):
    predictions = overconfident(300)
    logits = 9 * np.eye(7, dtype=np.float32)[predictions.target]
    right = replace(predictions, logits=logits, probs=softmax(logits, 1))
    section = calibration_section(right, calibrate(right))
    assert "limit of its range" in section.paragraphs[-1]


def test_reliability_points_are_means_of_equal_mass_bins():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 1500)
    correct = rng.random(1500) < confidence
    fig = plot_reliability({"Before": (confidence, correct)}, "t")
    dots = sorted(
        tuple(np.ravel(line.get_xydata())) for line in fig.axes[0].lines if line.get_marker() == "o"
    )
    bins = np.array_split(np.argsort(confidence), 15)
    assert np.array(dots) == pytest.approx(
        np.array([(confidence[p].mean(), correct[p].mean()) for p in bins])
    )


def test_risk_coverage_marks_the_thresholds_that_can_be_reached():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 800)
    correct = rng.random(800) < confidence
    thresholds = [threshold_for(wanted, confidence, correct) for wanted in (0.8, 0.999)]
    fig = plot_risk_coverage(confidence, correct, thresholds, "t")
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert [text for text in texts if "from confidence" in text] == [
        f"at least 80 % from confidence {100 * thresholds[0].confidence:.0f} %"
    ]
    assert f"all answered: {100 * correct.mean():.1f} %" in texts


@pytest.mark.parametrize("n", [1, 3, 16])
def test_few_images_still_give_plots(n):
    confidence, correct = np.linspace(0.3, 1, n), np.ones(n, bool)
    assert isinstance(plot_reliability({"Before": (confidence, correct)}, "t"), Figure)
    assert isinstance(plot_risk_coverage(confidence, correct, [], "t"), Figure)
