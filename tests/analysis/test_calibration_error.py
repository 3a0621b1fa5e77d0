from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.analysis.calibration_error import BINS, bin_gaps, debiased, equal_mass, equal_width, interval


def ece_by_loops(confidence, correct, edges):
    """Guo et al. 2017, equation 3, with bins (low, high]."""
    total = 0.0
    for low, high in pairwise(edges):
        rows = [i for i, c in enumerate(confidence) if low < c <= high]
        if rows:
            total += len(rows) * abs(np.mean(correct[rows]) - np.mean(confidence[rows]))
    return total / len(confidence)


def answers(n=500, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.15, 1, n)
    return confidence, rng.random(n) < np.clip(confidence - shift, 0, 1)


def test_equal_width_error_is_guos():
    confidence, correct = answers()
    gaps = bin_gaps(confidence, correct, equal_width(confidence))
    assert np.abs(gaps).sum() == pytest.approx(ece_by_loops(confidence, correct, np.linspace(0, 1, BINS + 1)))


def test_equal_mass_error_is_that_of_a_sorted_list_cut_in_pieces():
    confidence, correct = answers(n=600)
    pieces = np.array_split(np.argsort(confidence), BINS)
    expected = sum(abs((confidence[rows] - correct[rows]).sum()) for rows in pieces) / 600
    assert np.abs(bin_gaps(confidence, correct, equal_mass(confidence))).sum() == pytest.approx(expected)


@given(st.lists(st.sampled_from([0.2, 0.5, 0.5000001, 0.9, 1.0]), min_size=1, max_size=60))
def test_equal_confidences_share_a_bin(values):
    confidence = np.array(values)
    for index in (equal_width(confidence), equal_mass(confidence)):
        assert index.min() >= 0
        assert index.max() < BINS
        assert all(len(set(index[confidence == value])) == 1 for value in values)


def test_bounds_of_bins_belong_to_the_bin_below():
    assert equal_width(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 1.0])).tolist() == [0, 0, 1, 14]


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_debiasing_brings_the_error_nearer_to_the_truth(shift):
    """By simulation: a perfect model, which plain ECE calls 4 points wrong, and one 8 points too sure."""
    plain, corrected = [], []
    for seed in range(60):
        confidence, correct = answers(400, seed, shift)
        index = equal_mass(confidence)
        plain.append(np.abs(bin_gaps(confidence, correct, index)).sum())
        corrected.append(debiased(confidence, correct, index))
    assert abs(np.mean(corrected) - shift) < 0.75 * abs(np.mean(plain) - shift)


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_interval_covers_the_truth(shift):
    """95 % is promised; fewer than 86 % of 100 would happen once in 7,000 runs."""
    covered = 0
    for seed in range(100):
        confidence, correct = answers(500, seed, shift)
        index = equal_mass(confidence)
        gaps = bin_gaps(confidence, correct, index)
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 500, (300, 500))
        draws = np.array([bin_gaps(confidence[r], correct[r], index[r]) for r in rows])
        truth = np.abs(bin_gaps(confidence, np.clip(confidence - shift, 0, 1), index)).sum()
        low, high = interval(np.abs(gaps).sum(), gaps, draws)
        covered += low <= truth <= high
    assert covered >= 86
