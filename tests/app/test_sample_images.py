"""The synthetic faces of the gallery are detected, so that a visitor's first click gives a prediction."""

import os

import pytest

from fer.data.synthetic.samples import SAMPLES, render_sample, render_thumbnail
from fer.faces.detectors import YUNET_ENV_VAR, choose_detector

DETECTORS = [
    "haar",
    pytest.param(
        "yunet",
        marks=pytest.mark.skipif(YUNET_ENV_VAR not in os.environ, reason=f"{YUNET_ENV_VAR} is not set"),
    ),
]


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
def test_every_face_of_the_gallery_is_detected(sample, detector):
    assert len(choose_detector(detector)(render_sample(sample))) == len(sample.faces)


def test_the_gallery_shows_every_emotion_and_a_group():
    titles = [sample.title for sample in SAMPLES]
    assert 8 <= len(titles) == len(set(titles)) <= 12
    assert {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"} < set(titles)
    assert max(len(sample.faces) for sample in SAMPLES) == 3
    assert {render_thumbnail(sample).shape for sample in SAMPLES} == {(96, 96, 3)}
