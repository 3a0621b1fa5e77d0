import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fer.analysis.bootstrap import percentiles, resample_counts, resample_means, resample_weights
from fer.analysis.count_scores import confusion_counts, overall_scores


@pytest.fixture
def answers():
    """120 images of three emotions, unevenly many, and what was said of them."""
    rng = np.random.default_rng(3)
    target = np.repeat([0, 1, 2], [80, 30, 10])
    preds = np.where(rng.random(120) < 0.7, target, rng.integers(0, 3, 120))
    return target, preds


def draw_rows(target, rng):
    """One resample, image by image within each emotion: the definition that the fast ways must meet."""
    return np.concatenate(
        [rng.choice(rows, len(rows)) for k in range(3) if len(rows := np.flatnonzero(target == k))]
    )


@pytest.mark.parametrize("metric", ["accuracy", "uar", "macro_f1", "kappa"])
def test_resampled_counts_are_distributed_as_resampled_rows(answers, metric):
    target, preds = answers
    rng = np.random.default_rng(0)
    rows = [draw_rows(target, rng) for _ in range(2000)]
    brute = [overall_scores(confusion_counts(target[r], preds[r], 3))[metric] for r in rows]
    fast = overall_scores(resample_counts(confusion_counts(target, preds, 3), 2000, rng))[metric]
    assert ks_2samp(brute, fast).pvalue > 0.001
    assert np.std(fast) == pytest.approx(np.std(brute), rel=0.1)
    assert np.quantile(fast, [0.025, 0.975]) == pytest.approx(np.quantile(brute, [0.025, 0.975]), abs=0.02)


def test_resampled_means_are_distributed_as_resampled_rows(answers):
    target, _ = answers
    rng = np.random.default_rng(1)
    values = (
        rng.gamma(1.0, size=120) + 100 * target
    )  # emotions far apart: without strata it would spread more
    brute = [values[draw_rows(target, rng)].mean() for _ in range(2000)]
    fast = resample_means(values[:, None], target, 2000, rng)[:, 0]
    assert ks_2samp(brute, fast).pvalue > 0.001


def test_weights_draw_each_emotion_as_often_as_it_has_images(answers):
    target, _ = answers
    portions = list(resample_weights(target, 601, np.random.default_rng(0)))
    weights = np.concatenate(portions)
    assert weights.shape == (601, 120)
    for k, count in enumerate([80, 30, 10]):
        assert (weights[:, target == k].sum(1) == count).all()
    assert weights.mean(0) == pytest.approx(np.ones(120), abs=0.25)


def test_means_keep_their_precision_far_from_zero():
    columns = 1e6 + np.random.default_rng(0).normal(size=(50, 1))
    draws = resample_means(columns, np.zeros(50, int), 500, np.random.default_rng(0))
    assert draws.std() == pytest.approx(columns.std() / np.sqrt(50), rel=0.15)


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=3, max_size=3), st.integers(0, 99)
)
def test_resampled_counts_keep_rows_and_fill_no_empty_cell(rows, seed):
    counts = np.array(rows)
    draws = resample_counts(counts, 20, np.random.default_rng(seed))
    assert (draws.sum(2) == counts.sum(1)).all()
    assert (draws[:, counts == 0] == 0).all()


def test_percentiles_leave_out_what_is_not_defined():
    draws = np.append(np.arange(1001.0), [np.nan] * 50)
    assert percentiles(draws) == pytest.approx((25, 975))
    assert np.isnan(percentiles(np.full(3, np.nan))).all()
