"""Exponential smoothing of the probabilities of each face."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from fer.predict.video.tracking import Smoother

RNG = np.random.default_rng(0)


def probs(count, classes=3, rng=RNG):
    return rng.dirichlet(np.ones(classes), count)


def run(smoother, predictions, times, face=1):
    return np.concatenate(
        [smoother.update([face], row[None], time) for row, time in zip(predictions, times, strict=True)]
    )


@pytest.mark.parametrize("constant", [0.1, 0.5, 3.0])
def test_regular_frames_agree_with_scipy(constant):
    predictions, step = probs(50), 0.04
    weight = 1 - np.exp(-step / constant)
    past = (1 - weight) * predictions[:1]
    expected, _ = lfilter([weight], [1, weight - 1], predictions, axis=0, zi=past)
    smoothed = run(Smoother(constant), predictions, step * np.arange(50))
    np.testing.assert_allclose(smoothed, expected, atol=1e-12)


@pytest.mark.parametrize("rate", [7, 25, 240])
def test_the_response_does_not_depend_on_the_frame_rate(rate):
    times = np.arange(0, 2 * rate + 1) / rate
    predictions = np.where(times[:, None] == 0, [[1.0, 0.0]], [[0.0, 1.0]])
    smoothed = run(Smoother(0.5), predictions, times)
    np.testing.assert_allclose(smoothed[:, 0], np.exp(-times / 0.5), atol=1e-12)


@given(st.floats(0, 10), st.lists(st.floats(0, 3), min_size=1, max_size=20), st.integers(0, 1000))
def test_probabilities_still_sum_to_one(constant, steps, seed):
    predictions = probs(len(steps), 7, np.random.default_rng(seed))
    smoothed = run(Smoother(constant), predictions, np.cumsum(steps))
    assert (smoothed >= 0).all()
    np.testing.assert_allclose(smoothed.sum(1), 1, atol=1e-12)


def test_zero_is_no_smoothing():
    predictions = probs(5)
    np.testing.assert_array_equal(run(Smoother(0), predictions, np.arange(5.0)), predictions)


def test_faces_do_not_mix():
    smoother, (one, two, three) = Smoother(0.5), probs(3)
    smoother.update([1, 2], np.array([one, two]), 0.0)
    smoothed = smoother.update([2, 3, 1], np.array([two, three, one]), 0.1)
    np.testing.assert_allclose(smoothed, [two, three, one], atol=1e-12)


def test_the_past_weighs_less_after_a_gap():
    first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    smoother = Smoother(0.5)
    smoother.update([1], first, 0.0)
    smoother.update([], np.empty((0, 2)), 0.5)
    assert smoother.update([1], second, 1.0)[0, 0] == pytest.approx(np.exp(-2))


def test_time_that_decreases_changes_nothing():
    first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    smoother = Smoother(0.5)
    smoother.update([1], first, 5.0)
    np.testing.assert_allclose(smoother.update([1], second, 4.0), first)


def test_old_tracks_are_forgotten():
    smoother = Smoother(0.1)
    for face in range(1000):
        smoother.update([face], probs(1), face * 0.1)
    assert len(smoother._past) < 10


def test_no_face_gives_no_row():
    assert len(Smoother(0.5).update([], np.array([]), 0.0)) == 0
