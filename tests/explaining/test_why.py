"""The map beside an answer: the model's own attention where it has one, else occlusion."""

import numpy as np
import pytest
from written_bundle import SIDE, expected_probs, write_bundle

from fer.bundle.runtime import OnnxClassifier
from fer.explaining.why import smoothed, why
from fer.labels import FER7


@pytest.fixture
def face():
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[8:16, 30:40, 0] = 255  # red, low in the other channels
    return picture


@pytest.mark.parametrize("attention", [True, False])
def test_the_page_learns_which_map_it_is(tmp_path, face, attention):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m", attention=attention), threads=1)
    label = int(classifier(face[None])[0].argmax())
    found = why(classifier, face, label)
    assert found.method == ("attention" if attention else "occlusion")
    assert (found.heat.min(), found.heat.max()) == (0, pytest.approx(1))
    assert found.before == pytest.approx(expected_probs(face[None], len(FER7))[0, label], abs=1e-5)


def test_attention_is_the_models_own(tmp_path, face):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m", attention=True), threads=1)
    found = why(classifier, face, 0)
    own = smoothed(face[..., 0].astype(np.float32))  # the map of this model is the red channel
    np.testing.assert_allclose(found.heat, own / own.max(), atol=1e-5)


def test_no_heat_is_made_up_where_the_answer_rests_on_nothing(tmp_path):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m"), threads=1)
    even = np.full((SIDE, SIDE, 3), 90, np.uint8)  # hiding a part of it changes nothing
    found = why(classifier, even, 2)
    assert found.heat.max() == 0
    assert found.after == pytest.approx(found.before)
