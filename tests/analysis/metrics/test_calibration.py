from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.analysis.metrics.calibration import (
    NUM_BINS,
    bin_gaps,
    debiased_ece,
    ece_interval,
    equal_mass_bins,
    equal_width_bins,
)


def ece_by_loops(confidence, correct, edges):
    """Return the ECE of Guo et al. 2017, equation 3, with bins (low, high]."""
    total = 0.0
    for low, high in pairwise(edges):
        rows = [i for i, c in enumerate(confidence) if low < c <= high]
        if rows:
            total += len(rows) * abs(np.mean(correct[rows]) - np.mean(confidence[rows]))
    return total / len(confidence)


def overconfident_model(n=500, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.15, 1, n)
    return confidence, rng.random(n) < np.clip(confidence - shift, 0, 1)


def test_equal_width_ece_matches_guo():
    confidence, correct = overconfident_model()
    gaps = bin_gaps(confidence, correct, equal_width_bins(confidence))
    assert np.abs(gaps).sum() == pytest.approx(
        ece_by_loops(confidence, correct, np.linspace(0, 1, NUM_BINS + 1))
    )


def test_equal_mass_ece_matches_sorted_chunks():
    confidence, correct = overconfident_model(n=600)
    chunks = np.array_split(np.argsort(confidence), NUM_BINS)
    expected = sum(abs((confidence[rows] - correct[rows]).sum()) for rows in chunks) / 600
    assert np.abs(bin_gaps(confidence, correct, equal_mass_bins(confidence))).sum() == pytest.approx(expected)


@given(st.lists(st.sampled_from([0.2, 0.5, 0.5000001, 0.9, 1.0]), min_size=1, max_size=60))
def test_equal_confidences_share_a_bin(values):
    confidence = np.array(values)
    for index in (equal_width_bins(confidence), equal_mass_bins(confidence)):
        assert index.min() >= 0
        assert index.max() < NUM_BINS
        assert all(len(set(index[confidence == value])) == 1 for value in values)


def test_upper_edge_belongs_to_the_bin():
    assert equal_width_bins(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 1.0])).tolist() == [0, 0, 1, 14]


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_debiasing_reduces_the_bias(shift):
    """Simulated models: one calibrated, with a plain ECE of 4 points, and one overconfident by 8 points."""
    plain, corrected = [], []
    for seed in range(60):
        confidence, correct = overconfident_model(400, seed, shift)
        index = equal_mass_bins(confidence)
        plain.append(np.abs(bin_gaps(confidence, correct, index)).sum())
        corrected.append(debiased_ece(confidence, correct, index))
    assert abs(np.mean(corrected) - shift) < 0.75 * abs(np.mean(plain) - shift)


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_interval_covers_the_true_error(shift):
    """At a coverage of 95 %, fewer than 86 of 100 intervals cover the truth once in 7,000 runs."""
    covered = 0
    for seed in range(100):
        confidence, correct = overconfident_model(500, seed, shift)
        index = equal_mass_bins(confidence)
        gaps = bin_gaps(confidence, correct, index)
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, 500, (300, 500))
        draws = np.array([bin_gaps(confidence[r], correct[r], index[r]) for r in rows])
        truth = np.abs(bin_gaps(confidence, np.clip(confidence - shift, 0, 1), index)).sum()
        low, high = ece_interval(np.abs(gaps).sum(), gaps, draws)
        covered += low <= truth <= high
    assert covered >= 86
