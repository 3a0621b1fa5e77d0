import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fer.analysis.metrics.selective import (
    COVERAGES,
    aurc,
    best_aurc,
    clopper_pearson_lower_bound,
    resampled_aurc,
    risk_coverage,
    threshold_for,
)


def calibrated_model(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1, n)
    return confidence, rng.random(n) < confidence


def test_risk_matches_a_loop_over_thresholds():
    confidence, correct = calibrated_model(200)
    coverage, risk = risk_coverage(confidence, correct)
    for k, threshold in enumerate(sorted(confidence, reverse=True)):
        answered = confidence >= threshold
        assert coverage[k] == pytest.approx(answered.mean())
        assert risk[k] == pytest.approx(1 - correct[answered].mean())
    assert aurc(confidence, correct) == pytest.approx(risk.mean())


@given(
    st.lists(st.tuples(st.sampled_from([0.3, 0.6, 0.9]), st.booleans()), min_size=1, max_size=30),
    st.randoms(),
)
def test_the_order_of_images_has_no_effect(answers, random):
    shuffled = random.sample(answers, len(answers))
    areas = [aurc(*(np.array(part) for part in zip(*rows, strict=True))) for rows in (answers, shuffled)]
    assert areas[0] == pytest.approx(areas[1])
    assert 0 <= areas[0] <= 1


def test_best_aurc_is_the_lowest():
    confidence, correct = calibrated_model(500)
    assert best_aurc(correct) < aurc(confidence, correct) < aurc(-confidence, correct)


def test_resampled_aurc_matches_repeated_rows():
    confidence, correct = calibrated_model(50)
    weights = np.random.default_rng(0).multinomial(50, np.full(50, 0.02), size=20)
    draws = resampled_aurc(np.argsort(-confidence, kind="stable"), correct, weights)
    for drawn, area in zip(weights, draws, strict=True):
        # All copies of an image have the risk at which the last of them is answered
        rows = np.repeat(np.arange(50), drawn)
        risks = [1 - correct[rows][confidence[rows] >= confidence[i]].mean() for i in rows]
        assert area == pytest.approx(np.mean(risks))


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 7), (90, 100), (100, 100)])
def test_lower_bound_matches_scipy(hits, n):
    expected = binomtest(hits, n, alternative="greater").proportion_ci(0.95, method="exact").low
    assert clopper_pearson_lower_bound(hits, n, 0.05) == pytest.approx(expected)


def test_threshold_has_the_stated_coverage_and_accuracy():
    confidence, correct = calibrated_model()
    threshold = threshold_for(0.8, confidence, correct)
    answered = confidence >= threshold.confidence
    assert threshold.coverage == pytest.approx(answered.mean())
    assert threshold.accuracy == pytest.approx(correct[answered].mean())
    assert 0.8 <= threshold.low < threshold.accuracy
    wider = confidence >= np.sort(confidence)[::-1][round((threshold.coverage + 0.05) * 2000) - 1]
    assert (
        clopper_pearson_lower_bound(int(correct[wider].sum()), int(wider.sum()), 0.05 / len(COVERAGES)) < 0.8
    )


def test_guarantee_holds_on_new_images():
    """Of 200 models about 10 may miss the accuracy on new data; with a naive threshold half of them would."""
    missed = 0
    for seed in range(200):
        threshold = threshold_for(0.8, *calibrated_model(500, seed))
        if threshold.confidence is not None:
            # Mean accuracy of uniform confidences above the threshold
            missed += (1 + threshold.confidence) / 2 < 0.8
    assert missed <= 18


def test_an_unreachable_accuracy_gives_no_threshold():
    confidence, _ = calibrated_model(300)
    threshold = threshold_for(0.9, confidence, np.random.default_rng(0).random(300) < 0.5)
    assert (threshold.confidence, threshold.coverage, threshold.accuracy, threshold.low) == (None,) * 4
    assert (threshold.wanted, threshold.n) == (0.9, 300)


def test_all_images_are_answered_where_all_are_correct():
    threshold = threshold_for(0.9, np.linspace(0.4, 1, 300), np.ones(300, bool))
    assert (threshold.coverage, threshold.confidence, threshold.accuracy) == (1.0, 0.4, 1.0)
