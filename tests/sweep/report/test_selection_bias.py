"""Selection bias of the best of many: compared with scipy's t-interval, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from fer.sweep.report.confirm import selection_bias


def test_interval_of_a_single_recipe_is_the_t_interval_of_its_mean():
    values = [0.55, 0.57, 0.56, 0.58]
    (bias,) = selection_bias([0.60], [values], 1)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert bias.value == pytest.approx(0.60 - np.mean(values))
    assert (bias.low, bias.high) == pytest.approx((0.60 - high, 0.60 - low))


def test_smaller_loss_in_the_search_is_selection_bias():
    (bias,) = selection_bias([0.9], [[1.0, 1.1]], -1)
    assert bias.value == pytest.approx(0.15)


def test_one_seed_has_no_interval():
    (bias,) = selection_bias([0.6], [[0.5]], 1)
    assert (bias.low, bias.high) == (None, None)


def test_best_of_many_equal_recipes_has_selection_bias():
    """Of 40 recipes worth 0.5 with a deviation of 0.01 over seeds, the best is 0.0216 above on average."""
    rng = np.random.default_rng(0)
    biases, covered = [], 0
    for _ in range(300):
        top = np.sort(rng.normal(0.5, 0.01, 40))[-3:]
        first = selection_bias(list(top), rng.normal(0.5, 0.01, (3, 3)).tolist(), 1)[-1]
        biases.append(first.value)
        covered += first.low <= top[-1] - 0.5 <= first.high
    assert np.mean(biases) == pytest.approx(0.0216, abs=0.002)
    assert 0.92 <= covered / 300 <= 0.98
