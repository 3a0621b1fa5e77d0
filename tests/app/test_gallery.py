"""The drawn faces of the gallery are found, so that the first click of a newcomer is answered."""

import os

import pytest

from fer.app.gallery import SAMPLES, draw_sample, draw_thumbnail
from fer.faces.choose import YUNET_VARIABLE, choose_detector

DETECTORS = [
    "haar",
    pytest.param(
        "yunet",
        marks=pytest.mark.skipif(YUNET_VARIABLE not in os.environ, reason=f"{YUNET_VARIABLE} names no file"),
    ),
]


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
def test_every_face_of_the_gallery_is_found(sample, detector):
    assert len(choose_detector(detector)(draw_sample(sample))) == len(sample.faces)


def test_the_gallery_shows_every_emotion_and_a_group():
    titles = [sample.title for sample in SAMPLES]
    assert 8 <= len(titles) == len(set(titles)) <= 12
    assert {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"} < set(titles)
    assert max(len(sample.faces) for sample in SAMPLES) == 3
    assert {draw_thumbnail(sample).shape for sample in SAMPLES} == {(96, 96, 3)}
