import numpy as np
import pytest

from fer.app.history import History
from fer.faces.face import Face
from fer.prediction import Prediction

EMOTIONS = ("happy", "sad")


def seen(number, happy):
    shares = {"happy": happy, "sad": 1 - happy}
    label = max(shares, key=shares.__getitem__)
    return number, Prediction(Face((0, 0, 9, 9), 1.0), shares, label, shares[label], False)


def test_answers_of_a_step_are_averaged_and_gaps_stay_open():
    history = History(EMOTIONS, 1.0)
    history.add([seen(1, 0.2), seen(2, 1.0)], 0.1)
    history.add([seen(1, 0.6)], 0.9)
    history.add([], 1.5)
    history.add([seen(1, 0.5)], 2.0)
    times, probs = history.shares(1)
    assert times.tolist() == [0.5, 1.5, 2.5]
    np.testing.assert_allclose(probs, [[0.4, 0.6], [np.nan, np.nan], [0.5, 0.5]])
    np.testing.assert_allclose(history.shares(2)[1][:, 0], [1.0, np.nan, np.nan])
    assert history.faces() == [1, 2]  # the longest first


def test_a_step_without_a_frame_is_no_gap():
    history = History(EMOTIONS, 1.0)
    history.add([seen(1, 0.2)], 0.5)
    history.add([seen(1, 0.8)], 3.5)
    assert history.shares(1)[1][:, 0].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.8])


def test_what_is_older_than_the_span_is_forgotten():
    history = History(EMOTIONS, 0.5, span=2.0)
    for index in range(1000):
        history.add([seen(index // 100, 0.5)], index / 10)
    times, probs = history.shares(9)
    assert times.tolist() == [98.25, 98.75, 99.25, 99.75]
    assert probs.shape == (4, 2)
    assert history.faces() == [9]
    assert len(history._looked) == 4  # and memory does not grow


def test_nothing_seen_yet():
    times, probs = History(EMOTIONS, 0.5, span=2.0).shares(1)
    assert times.shape == (0,)
    assert probs.shape == (0, 2)


@pytest.mark.parametrize(("back", "between"), [(4.5, 0.2), (5.5, np.nan), (21.5, np.nan)])
def test_a_long_pause_is_a_gap_from_its_beginning(back, between):
    """Frames of the seconds 0 and 1, then none until `back`: two empty seconds are bridged, more are not."""
    history = History(EMOTIONS, 1.0, span=30.0, pause=2.0)
    for seconds in (0.5, 1.5, back):
        history.add([seen(1, 0.2)], seconds)
    happy = history.shares(1)[1][:, 0]
    np.testing.assert_allclose(happy[[0, 1, -1]], 0.2)
    np.testing.assert_allclose(happy[2:-1], between)
