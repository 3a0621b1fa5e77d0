import numpy as np
import pytest
from scipy import stats

from fer.analysis.scores import Figure
from fer.analysis.seeds import over_seeds


def seeds_of(*values):
    return [
        {"accuracy": Figure(value, None, None, 100, "" if value is not None else "none")} for value in values
    ]


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_mean_deviation_and_interval_are_scipys(n):
    values = np.random.default_rng(n).normal(0.6, 0.01, n)
    found = over_seeds(seeds_of(*values))["accuracy"]
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.mean, found.deviation) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.values) == (n, tuple(values))


def test_one_seed_has_a_mean_and_no_interval():
    found = over_seeds(seeds_of(0.6))["accuracy"]
    assert (found.mean, found.deviation, found.low, found.n) == (0.6, None, None, 1)
    assert "fewer than two seeds" in found.note


def test_a_score_that_a_seed_lacks_is_said_so():
    found = over_seeds(seeds_of(0.6, None, 0.8))["accuracy"]
    assert (found.mean, found.n) == (pytest.approx(0.7), 2)
    assert found.note == "not defined for 1 of 3 seeds"
    assert over_seeds(seeds_of(None, None))["accuracy"].mean is None


def test_the_total_interval_adds_the_images():
    """Seeds that agree leave the images' interval; images without one leave none."""

    def figures(*values, half=None):
        ends = (lambda v: (v - half, v + half)) if half else (lambda v: (None, None))
        return [{"accuracy": Figure(value, *ends(value), 100)} for value in values]

    agree = over_seeds(figures(0.6, 0.6, 0.6, half=0.016))["accuracy"]
    assert (agree.low, agree.high) == pytest.approx((0.6, 0.6))
    assert (agree.total_low, agree.total_high) == pytest.approx((0.584, 0.616))
    alone = over_seeds(figures(0.6, 0.61, 0.62))["accuracy"]
    assert (alone.total_low, alone.total_high) == (None, None)
    assert alone.low is not None
    both = over_seeds(figures(0.6, 0.61, 0.62, half=0.016))["accuracy"]
    assert both.total_high - both.mean > 0.016


def test_the_total_interval_is_never_narrower_than_that_over_seeds_alone():
    """Satterthwaite's would be: one degree of freedom becomes many by images that add little."""
    pair = [{"ece": Figure(0.030, 0.020, 0.040, 100)}, {"ece": Figure(0.037, 0.027, 0.047, 100)}]
    spread = over_seeds(pair)["ece"]
    assert spread.total_high >= spread.high
    assert spread.total_low == spread.low == 0.0  # no error is below 0, though t reaches further
