import numpy as np
import pytest
from scipy import stats

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.paired import summarize_seeds


def scores_of_seeds(*values):
    return [
        {"accuracy": Estimate(value, None, None, 100, "" if value is not None else "none")}
        for value in values
    ]


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_mean_deviation_and_interval_match_scipy(n):
    values = np.random.default_rng(n).normal(0.6, 0.01, n)
    summary = summarize_seeds(scores_of_seeds(*values))["accuracy"]
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (summary.mean, summary.deviation) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert (summary.low, summary.high) == pytest.approx((low, high))
    assert (summary.n, summary.values) == (n, tuple(values))


def test_one_seed_has_a_mean_and_no_interval():
    summary = summarize_seeds(scores_of_seeds(0.6))["accuracy"]
    assert (summary.mean, summary.deviation, summary.low, summary.n) == (0.6, None, None, 1)
    assert "fewer than two seeds" in summary.note


def test_a_score_missing_for_a_seed_is_noted():
    summary = summarize_seeds(scores_of_seeds(0.6, None, 0.8))["accuracy"]
    assert (summary.mean, summary.n) == (pytest.approx(0.7), 2)
    assert summary.note == "not defined for 1 of 3 seeds"
    assert summarize_seeds(scores_of_seeds(None, None))["accuracy"].mean is None


def test_total_interval_includes_images():
    """Equal seeds leave only the interval over images; without one there is no total interval."""

    def estimates(*values, half=None):
        ends = (lambda v: (v - half, v + half)) if half else (lambda v: (None, None))
        return [{"accuracy": Estimate(value, *ends(value), 100)} for value in values]

    equal_seeds = summarize_seeds(estimates(0.6, 0.6, 0.6, half=0.016))["accuracy"]
    assert (equal_seeds.low, equal_seeds.high) == pytest.approx((0.6, 0.6))
    assert (equal_seeds.total_low, equal_seeds.total_high) == pytest.approx((0.584, 0.616))
    seeds_only = summarize_seeds(estimates(0.6, 0.61, 0.62))["accuracy"]
    assert (seeds_only.total_low, seeds_only.total_high) == (None, None)
    assert seeds_only.low is not None
    both = summarize_seeds(estimates(0.6, 0.61, 0.62, half=0.016))["accuracy"]
    assert both.total_high - both.mean > 0.016


def test_total_interval_is_at_least_that_over_seeds():
    """Satterthwaite's alone would be narrower: a small variance over images adds many degrees of freedom."""
    pair = [{"ece": Estimate(0.030, 0.020, 0.040, 100)}, {"ece": Estimate(0.037, 0.027, 0.047, 100)}]
    summary = summarize_seeds(pair)["ece"]
    assert summary.total_high >= summary.high
    # Clipped to the range of the score
    assert summary.total_low == summary.low == 0.0
