import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from fer.analysis.metrics.calibration_file import Calibration, read_calibration, write_calibration
from fer.analysis.metrics.selective import Threshold
from fer.analysis.metrics.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    cross_fitted_probs,
    fit_temperature,
    scaled_probs,
    temperature_interval,
)
from fer.core.errors import FerError

CALIBRATION = Calibration(
    1.3, 1.2, 1.4, (Threshold(0.9, 0.8, 0.5, 0.93, 0.91, 300), Threshold(0.99, None, None, None, None, 300)),
    "val", "PublicTest", 300, "ab" * 32, "cd" * 32,
)  # fmt: skip


def overconfident_model(n=800, seed=0, true=1.7):
    """Return logits too large by the factor ``true``, and labels drawn from the calibrated probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, 5))
    target = (softmax(logits / true, 1).cumsum(1) > rng.random((n, 1))).argmax(1)
    return logits, target


def nll(logits, target, temperature):
    return -log_softmax(logits / temperature, 1)[np.arange(len(target)), target].mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 5))
def test_temperature_matches_scipys_minimum(seed, true):
    logits, target = overconfident_model(200, seed, true)
    expected = minimize_scalar(lambda t: nll(logits, target, np.exp(t)), bounds=(-2.5, 2.5), method="bounded",
                             options={"xatol": 1e-9})  # fmt: skip
    assert fit_temperature(logits, target) == pytest.approx(np.exp(expected.x), rel=1e-4)


def test_temperature_recovers_the_true_one():
    logits, target = overconfident_model(20000)
    temperature = fit_temperature(logits, target)
    low, high = temperature_interval(logits, target, temperature)
    assert low < 1.7 < high
    assert high - low < 0.2


def test_interval_of_the_temperature_matches_the_bootstrap():
    logits, target = overconfident_model()
    low, high = temperature_interval(logits, target, fit_temperature(logits, target))
    rows = np.random.default_rng(1).integers(0, 800, (150, 800))
    draws = np.quantile([fit_temperature(logits[r], target[r]) for r in rows], [0.025, 0.975])
    assert [low, high] == pytest.approx(draws, abs=0.25 * (high - low))


def test_temperature_is_clipped_where_no_finite_one_fits():
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert fit_temperature(logits, np.array([0, 1, 2, 0])) == MIN_TEMPERATURE
    assert fit_temperature(logits, np.array([1, 2, 0, 1])) == MAX_TEMPERATURE


def test_scaled_probs_match_scipy_also_for_log_zero():
    logits, _ = overconfident_model(20)
    assert scaled_probs(logits, 1.7) == pytest.approx(softmax(logits / 1.7, 1))
    # Logs of mean probabilities, as with TTA
    logits = np.array([[0.0, -np.inf, -1.0], [-1e5, 0.0, -np.inf]])
    assert scaled_probs(logits, 2.0) == pytest.approx(softmax(logits / 2, 1))
    assert np.isfinite(fit_temperature(logits, np.array([0, 1])))
    with pytest.raises(FerError, match="NaN"):
        scaled_probs(np.array([[np.nan, 1.0]]), 1.0)


def test_a_cross_fitted_image_has_no_effect_on_its_own_temperature():
    logits, target = overconfident_model(100)
    before = temperature_of(cross_fitted_probs(logits, target), logits).round(6)
    logits[7] *= 5
    after = temperature_of(cross_fitted_probs(logits, target), logits).round(6)
    assert len(np.unique(before)) == 5
    assert ((before == after) == (before == before[7])).all()


def temperature_of(probs, logits):
    """Return the temperature behind each row."""
    return (logits[:, 0] - logits[:, 1]) / np.log(probs[:, 0] / probs[:, 1])


def test_folds_are_stratified_by_emotion():
    logits, target = overconfident_model(103)
    temperatures = temperature_of(cross_fitted_probs(logits, target), logits).round(6)
    for k in range(5):
        sizes = [int(((temperatures == t) & (target == k)).sum()) for t in np.unique(temperatures)]
        assert max(sizes) - min(sizes) <= 1


def test_calibration_round_trip(tmp_path):
    path = write_calibration(tmp_path, CALIBRATION)
    assert path == tmp_path / "calibration.json"
    assert read_calibration(tmp_path) == CALIBRATION
    assert json.loads(path.read_text())["temperature"] == 1.3
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


def test_calibration_belongs_to_its_weights(tmp_path):
    assert read_calibration(tmp_path) is None
    write_calibration(tmp_path, CALIBRATION)
    assert read_calibration(tmp_path, "cd" * 32) == CALIBRATION
    assert read_calibration(tmp_path, "ef" * 32) is None


def test_calibration_fitted_on_test_is_not_written(tmp_path):
    with pytest.raises(FerError, match="validation split only"):
        write_calibration(tmp_path, replace(CALIBRATION, role="test"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"temperature": 1.0}', "\x00"])
def test_a_damaged_file_is_an_error(tmp_path, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(FerError, match="Delete it"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("value", ["-1.0", "NaN", '"hot"', "1e9"])
def test_an_invalid_temperature_is_rejected(tmp_path, value):
    path = write_calibration(tmp_path, CALIBRATION)
    path.write_text(path.read_text().replace('"temperature": 1.3', f'"temperature": {value}'))
    with pytest.raises(FerError, match="Delete it"):
        read_calibration(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FerError, match="cannot be written"):
        write_calibration(tmp_path / "missing", CALIBRATION)
