import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fer.analysis.metrics.classification import auroc_with_influence, logit_interval


def delong_by_loops(positive, score):
    """Return area and variance by the definition of DeLong et al. 1988: all pairs compared."""
    x, y = score[positive], score[~positive]
    wins = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
    return wins.mean(), wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.integers(2, 30))
def test_area_and_variance_match_delong(seed, m, n, levels):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(m + n) < m)
    # With ties
    score = rng.integers(0, levels, m + n) / levels
    area, influence = auroc_with_influence(positive, score)
    expected, variance = delong_by_loops(positive, score)
    assert area == pytest.approx(expected)
    assert area == pytest.approx(roc_auc_score(positive, score))
    assert (influence**2).sum() == pytest.approx(variance)


def area(positive, score):
    x, y = score[positive][:, None], score[~positive]
    return ((x > y) + 0.5 * (x == y)).mean()


def test_averaged_influences_give_the_variance_of_the_mean_area():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    score = rng.random((300, 3)) + 0.5 * np.eye(3)[target]
    influences = [auroc_with_influence(target == k, score[:, k])[1] for k in range(3)]
    deviation = np.sqrt((np.mean(influences, axis=0) ** 2).sum())
    draws = []
    for _ in range(800):
        rows = rng.integers(0, 300, 300)
        draws.append(np.mean([area(target[rows] == k, score[rows, k]) for k in range(3)]))
    assert deviation == pytest.approx(np.std(draws), rel=0.12)


def test_interval_is_symmetric_in_the_logit_and_within_0_and_1():
    low, high = logit_interval(0.99, 0.02)
    assert 0 < low < 0.99 < high < 1
    logit = np.log([low / (1 - low), 0.99 / 0.01, high / (1 - high)])
    assert np.diff(logit) == pytest.approx([1.959964 * 0.02 / (0.99 * 0.01)] * 2, rel=1e-6)


@pytest.mark.parametrize(("area", "deviation"), [(1.0, 0.0), (0.7, 0.0), (0.7, float("nan"))])
def test_no_interval_without_variation(area, deviation):
    assert np.isnan(logit_interval(area, deviation)).all()
