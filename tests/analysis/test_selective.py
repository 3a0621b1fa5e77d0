import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fer.analysis.selective import (
    COVERAGES,
    aurc,
    aurc_draws,
    best_aurc,
    lower_bound,
    risk_coverage,
    threshold_for,
)


def answers(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1, n)
    return confidence, rng.random(n) < confidence


def test_risk_is_that_of_a_loop_over_thresholds():
    confidence, correct = answers(200)
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
def test_the_order_of_images_does_not_matter(answers, random):
    shuffled = random.sample(answers, len(answers))
    areas = [aurc(*(np.array(part) for part in zip(*rows, strict=True))) for rows in (answers, shuffled)]
    assert areas[0] == pytest.approx(areas[1])
    assert 0 <= areas[0] <= 1


def test_no_order_is_better_than_the_best():
    confidence, correct = answers(500)
    assert best_aurc(correct) < aurc(confidence, correct) < aurc(-confidence, correct)


def test_areas_of_resamples_are_those_of_repeated_rows():
    confidence, correct = answers(50)
    weights = np.random.default_rng(0).multinomial(50, np.full(50, 0.02), size=20)
    draws = aurc_draws(np.argsort(-confidence, kind="stable"), correct, weights)
    for drawn, found in zip(weights, draws, strict=True):
        # copies of an image share its risk: it is known once all of them are answered
        rows = np.repeat(np.arange(50), drawn)
        risks = [1 - correct[rows][confidence[rows] >= confidence[i]].mean() for i in rows]
        assert found == pytest.approx(np.mean(risks))


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 7), (90, 100), (100, 100)])
def test_bound_is_clopper_and_pearsons(hits, n):
    theirs = binomtest(hits, n, alternative="greater").proportion_ci(0.95, method="exact").low
    assert lower_bound(hits, n, 0.05) == pytest.approx(theirs)


def test_threshold_leaves_what_it_says():
    confidence, correct = answers()
    found = threshold_for(0.8, confidence, correct)
    answered = confidence >= found.confidence
    assert found.coverage == pytest.approx(answered.mean())
    assert found.accuracy == pytest.approx(correct[answered].mean())
    assert 0.8 <= found.low < found.accuracy
    wider = confidence >= np.sort(confidence)[::-1][round((found.coverage + 0.05) * 2000) - 1]
    assert lower_bound(int(correct[wider].sum()), int(wider.sum()), 0.05 / len(COVERAGES)) < 0.8


def test_promise_holds_on_new_images():
    """Of 200 models about 10 may break it on endless data; a naive threshold breaks it for half."""
    broken = 0
    for seed in range(200):
        found = threshold_for(0.8, *answers(500, seed))
        if found.confidence is not None:
            broken += (1 + found.confidence) / 2 < 0.8  # mean accuracy of uniform confidences above it
    assert broken <= 18


def test_what_cannot_be_reached_is_said():
    confidence, _ = answers(300)
    found = threshold_for(0.9, confidence, np.random.default_rng(0).random(300) < 0.5)
    assert (found.confidence, found.coverage, found.accuracy, found.low) == (None,) * 4
    assert (found.wanted, found.n) == (0.9, 300)


def test_all_are_answered_where_all_are_right():
    found = threshold_for(0.9, np.linspace(0.4, 1, 300), np.ones(300, bool))
    assert (found.coverage, found.confidence, found.accuracy) == (1.0, 0.4, 1.0)
