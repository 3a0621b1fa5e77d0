import pytest
from scipy.stats import binomtest

from fer.analysis.metrics.intervals import wilson_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 7), (2115, 3589), (50, 100)])
def test_wilson_interval_matches_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)
