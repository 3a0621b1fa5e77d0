import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fer.analysis.auroc import auroc_parts, logit_interval


def delong_by_loops(positive, score):
    """Area and variance as DeLong et al. 1988 write them: every pair compared."""
    x, y = score[positive], score[~positive]
    wins = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
    return wins.mean(), wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.integers(2, 30))
def test_area_and_variance_are_delongs(seed, m, n, levels):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(m + n) < m)
    score = rng.integers(0, levels, m + n) / levels  # with ties
    area, influence = auroc_parts(positive, score)
    expected, variance = delong_by_loops(positive, score)
    assert area == pytest.approx(expected)
    assert area == pytest.approx(roc_auc_score(positive, score))
    assert (influence**2).sum() == pytest.approx(variance)


def area(positive, score):
    x, y = score[positive][:, None], score[~positive]
    return ((x > y) + 0.5 * (x == y)).mean()


def test_influences_of_several_emotions_add_up_to_the_variance_of_their_mean():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    score = rng.random((300, 3)) + 0.5 * np.eye(3)[target]
    parts = [auroc_parts(target == k, score[:, k])[1] for k in range(3)]
    spread = np.sqrt((np.mean(parts, axis=0) ** 2).sum())
    draws = []
    for _ in range(800):
        rows = rng.integers(0, 300, 300)
        draws.append(np.mean([area(target[rows] == k, score[rows, k]) for k in range(3)]))
    assert spread == pytest.approx(np.std(draws), rel=0.12)


def test_interval_is_symmetric_in_the_logit_and_stays_inside():
    low, high = logit_interval(0.99, 0.02)
    assert 0 < low < 0.99 < high < 1
    logit = np.log([low / (1 - low), 0.99 / 0.01, high / (1 - high)])
    assert np.diff(logit) == pytest.approx([1.959964 * 0.02 / (0.99 * 0.01)] * 2, rel=1e-6)


@pytest.mark.parametrize(("area", "deviation"), [(1.0, 0.0), (0.7, 0.0), (0.7, float("nan"))])
def test_no_interval_where_nothing_varies(area, deviation):
    assert np.isnan(logit_interval(area, deviation)).all()
