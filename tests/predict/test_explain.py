"""Explanations: the model's attention if it has one, else occlusion."""

import numpy as np
import pytest
from tiny_bundle import SIDE, expected_probs, write_bundle

from fer.bundle.runtime import OnnxClassifier
from fer.core.labels import FER7
from fer.predict.explain import explain, smooth


@pytest.fixture
def face():
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[8:16, 30:40, 0] = 255
    return image


@pytest.mark.parametrize("attention", [True, False])
def test_the_method_depends_on_the_model(tmp_path, face, attention):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m", attention=attention), threads=1)
    label = int(classifier(face[None])[0].argmax())
    explanation = explain(classifier, face, label)
    assert explanation.method == ("attention" if attention else "occlusion")
    assert (explanation.saliency.min(), explanation.saliency.max()) == (0, pytest.approx(1))
    assert explanation.confidence == pytest.approx(expected_probs(face[None], len(FER7))[0, label], abs=1e-5)


def test_attention_is_that_of_the_model(tmp_path, face):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m", attention=True), threads=1)
    explanation = explain(classifier, face, 0)
    # The attention map of this model is the red channel.
    expected = smooth(face[..., 0].astype(np.float32))
    np.testing.assert_allclose(explanation.saliency, expected / expected.max(), atol=1e-5)


def test_the_map_is_zero_if_no_part_matters(tmp_path):
    classifier = OnnxClassifier(write_bundle(tmp_path / "m"), threads=1)
    # Blurring a uniform image changes nothing.
    uniform = np.full((SIDE, SIDE, 3), 90, np.uint8)
    explanation = explain(classifier, uniform, 2)
    assert explanation.saliency.max() == 0
    assert explanation.confidence_hidden == pytest.approx(explanation.confidence)
