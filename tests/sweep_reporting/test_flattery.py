"""Flattery of the best of many: against scipy's t-interval, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from fer.sweep_reporting.flattery import flattery


def test_interval_of_a_single_recipe_is_the_t_interval_of_its_mean():
    values = [0.55, 0.57, 0.56, 0.58]
    (found,) = flattery([0.60], [values], 1)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found.value == pytest.approx(0.60 - np.mean(values))
    assert (found.low, found.high) == pytest.approx((0.60 - high, 0.60 - low))


def test_of_a_loss_a_smaller_value_flatters():
    (found,) = flattery([0.9], [[1.0, 1.1]], -1)
    assert found.value == pytest.approx(0.15)


def test_one_seed_has_no_interval():
    (found,) = flattery([0.6], [[0.5]], 1)
    assert (found.low, found.high) == (None, None)


def test_the_best_of_many_equal_recipes_is_found_flattered():
    """Of 40 recipes worth 0.5 with a spread of 0.01 over seeds, the best lies 0.0216 above on average."""
    rng = np.random.default_rng(0)
    found, held = [], 0
    for _ in range(300):
        top = np.sort(rng.normal(0.5, 0.01, 40))[-3:]
        first = flattery(list(top), rng.normal(0.5, 0.01, (3, 3)).tolist(), 1)[-1]
        found.append(first.value)
        held += first.low <= top[-1] - 0.5 <= first.high
    assert np.mean(found) == pytest.approx(0.0216, abs=0.002)
    assert 0.92 <= held / 300 <= 0.98
