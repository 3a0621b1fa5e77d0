import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fer.analysis.metrics.classification import confusion_counts, overall_scores
from fer.analysis.metrics.intervals import (
    percentile_interval,
    resample_counts,
    resample_means,
    resample_weights,
)


@pytest.fixture
def labels_and_preds():
    """Return labels and predictions of 120 images of three emotions, unbalanced."""
    rng = np.random.default_rng(3)
    target = np.repeat([0, 1, 2], [80, 30, 10])
    preds = np.where(rng.random(120) < 0.7, target, rng.integers(0, 3, 120))
    return target, preds


def draw_rows(target, rng):
    """Return one resample, drawn image by image within each emotion: the reference implementation."""
    return np.concatenate(
        [rng.choice(rows, len(rows)) for k in range(3) if len(rows := np.flatnonzero(target == k))]
    )


@pytest.mark.parametrize("metric", ["accuracy", "uar", "macro_f1", "kappa"])
def test_resampled_counts_have_the_distribution_of_resampled_rows(labels_and_preds, metric):
    target, preds = labels_and_preds
    rng = np.random.default_rng(0)
    rows = [draw_rows(target, rng) for _ in range(2000)]
    slow = [overall_scores(confusion_counts(target[r], preds[r], 3))[metric] for r in rows]
    fast = overall_scores(resample_counts(confusion_counts(target, preds, 3), 2000, rng))[metric]
    assert ks_2samp(slow, fast).pvalue > 0.001
    assert np.std(fast) == pytest.approx(np.std(slow), rel=0.1)
    assert np.quantile(fast, [0.025, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.02)


def test_resampled_means_have_the_distribution_of_resampled_rows(labels_and_preds):
    target, _ = labels_and_preds
    rng = np.random.default_rng(1)
    # Emotions have very different means, so the spread would be larger without strata
    values = rng.gamma(1.0, size=120) + 100 * target
    slow = [values[draw_rows(target, rng)].mean() for _ in range(2000)]
    fast = resample_means(values[:, None], target, 2000, rng)[:, 0]
    assert ks_2samp(slow, fast).pvalue > 0.001


def test_weights_keep_the_number_of_images_per_emotion(labels_and_preds):
    target, _ = labels_and_preds
    chunks = list(resample_weights(target, 601, np.random.default_rng(0)))
    weights = np.concatenate(chunks)
    assert weights.shape == (601, 120)
    for k, count in enumerate([80, 30, 10]):
        assert (weights[:, target == k].sum(1) == count).all()
    assert weights.mean(0) == pytest.approx(np.ones(120), abs=0.25)


def test_means_far_from_zero_keep_their_precision():
    columns = 1e6 + np.random.default_rng(0).normal(size=(50, 1))
    draws = resample_means(columns, np.zeros(50, int), 500, np.random.default_rng(0))
    assert draws.std() == pytest.approx(columns.std() / np.sqrt(50), rel=0.15)


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=3, max_size=3), st.integers(0, 99)
)
def test_resampled_counts_keep_row_sums_and_empty_cells(rows, seed):
    counts = np.array(rows)
    draws = resample_counts(counts, 20, np.random.default_rng(seed))
    assert (draws.sum(2) == counts.sum(1)).all()
    assert (draws[:, counts == 0] == 0).all()


def test_percentile_interval_ignores_undefined_draws():
    draws = np.append(np.arange(1001.0), [np.nan] * 50)
    assert percentile_interval(draws) == pytest.approx((25, 975))
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()
