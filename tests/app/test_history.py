"""Mean probabilities per time step: gaps, spans, averages."""

import numpy as np
import pytest

from fer.app.history import History
from fer.faces.base import Face
from fer.predict.predictor import Prediction

EMOTIONS = ("happy", "sad")


def face(number, happy):
    probabilities = {"happy": happy, "sad": 1 - happy}
    label = max(probabilities, key=probabilities.__getitem__)
    return number, Prediction(Face((0, 0, 9, 9), 1.0), probabilities, label, probabilities[label], False)


def test_predictions_of_a_step_are_averaged_and_gaps_are_nan():
    history = History(EMOTIONS, 1.0)
    history.add([face(1, 0.2), face(2, 1.0)], 0.1)
    history.add([face(1, 0.6)], 0.9)
    history.add([], 1.5)
    history.add([face(1, 0.5)], 2.0)
    times, probabilities = history.probabilities(1)
    assert times.tolist() == [0.5, 1.5, 2.5]
    np.testing.assert_allclose(probabilities, [[0.4, 0.6], [np.nan, np.nan], [0.5, 0.5]])
    np.testing.assert_allclose(history.probabilities(2)[1][:, 0], [1.0, np.nan, np.nan])
    # Sorted by duration.
    assert history.faces() == [1, 2]


def test_a_step_without_a_frame_repeats_the_one_before():
    history = History(EMOTIONS, 1.0)
    history.add([face(1, 0.2)], 0.5)
    history.add([face(1, 0.8)], 3.5)
    assert history.probabilities(1)[1][:, 0].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.8])


def test_steps_older_than_the_span_are_dropped():
    history = History(EMOTIONS, 0.5, span=2.0)
    for index in range(1000):
        history.add([face(index // 100, 0.5)], index / 10)
    times, probabilities = history.probabilities(9)
    assert times.tolist() == [98.25, 98.75, 99.25, 99.75]
    assert probabilities.shape == (4, 2)
    assert history.faces() == [9]
    # Memory does not grow.
    assert len(history._steps_with_frames) == 4


def test_empty_history():
    times, probabilities = History(EMOTIONS, 0.5, span=2.0).probabilities(1)
    assert times.shape == (0,)
    assert probabilities.shape == (0, 2)


@pytest.mark.parametrize(("resumed", "expected"), [(4.5, 0.2), (5.5, np.nan), (21.5, np.nan)])
def test_a_long_gap_is_nan_from_its_start(resumed, expected):
    """Frames in the seconds 0 and 1, then none until `resumed`: only gaps of up to 2 s are filled."""
    history = History(EMOTIONS, 1.0, span=30.0, max_gap=2.0)
    for seconds in (0.5, 1.5, resumed):
        history.add([face(1, 0.2)], seconds)
    happy = history.probabilities(1)[1][:, 0]
    np.testing.assert_allclose(happy[[0, 1, -1]], 0.2)
    np.testing.assert_allclose(happy[2:-1], expected)
