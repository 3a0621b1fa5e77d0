"""The occlusion map is highest at the patch that the model uses, for models that use one known patch."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.predict.explain import hide_most_salient, occlusion_map

SIDE, PATCH = 48, 8
POSITIONS = st.integers(0, SIDE - PATCH)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


class OnePatch:
    """Predicts class 1 by the contrast of one patch, and ignores the rest."""

    def __init__(self, top, left, sign=1.0):
        self.rows, self.columns = slice(top, top + PATCH), slice(left, left + PATCH)
        self.sign, self.calls, self.faces = sign, 0, 0

    def __call__(self, faces):
        assert faces.dtype == np.uint8
        self.calls, self.faces = self.calls + 1, len(faces)
        contrast = faces[:, self.rows, self.columns].astype(float).std((1, 2, 3)) / 255
        probability = sigmoid(self.sign * (20 * contrast - 3))
        return np.stack([1 - probability, probability], axis=1).astype(np.float32)


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@settings(max_examples=25, deadline=None)
@given(top=POSITIONS, left=POSITIONS, seed=st.integers(0, 9))
def test_the_maximum_is_in_the_patch_that_the_model_uses(top, left, seed):
    saliency = occlusion_map(OnePatch(top, left), noise(seed), 1)
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    # Squares up to this distance, half a window, cover a part of the patch.
    reach = SIDE / 8
    assert top - reach <= row < top + PATCH + reach
    assert left - reach <= column < left + PATCH + reach
    inside = saliency[top : top + PATCH, left : left + PATCH].mean()
    far = np.ones_like(saliency, bool)
    far[max(0, top - 16) : top + PATCH + 16, max(0, left - 16) : left + PATCH + 16] = False
    assert inside > 0
    # No square that covers these pixels touches the patch.
    assert (saliency[far] == 0).all()


def test_saliency_is_negative_where_hiding_raises_the_probability():
    positive = occlusion_map(OnePatch(20, 20), noise(), 1)
    negative = occlusion_map(OnePatch(20, 20), noise(), 0)
    np.testing.assert_allclose(positive, -negative, atol=1e-4)
    assert negative.min() < 0 < positive.max()


def test_the_map_takes_one_call_and_is_deterministic():
    model = OnePatch(5, 30)
    first = occlusion_map(model, noise(), 1)
    assert (model.calls, model.faces) == (1, 12 * 12 + 1)
    assert first.dtype == np.float32
    assert first.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(first, occlusion_map(model, noise(), 1))


def test_every_pixel_is_hidden_by_some_square():
    def contrast(faces):
        probability = sigmoid(faces.astype(float).std((1, 2, 3)) / 50 - 1)
        return np.stack([1 - probability, probability], axis=1)

    saliency = occlusion_map(contrast, noise(), 1)
    assert np.isfinite(saliency).all()
    # The whole face has contrast, so hiding any part lowers it.
    assert (saliency > 0).mean() > 0.9


def test_the_mean_over_the_squares_is_right_for_a_single_pixel(monkeypatch):
    face, model = noise(3), OnePatch(12, 12)
    # Adjacent squares of 12 pixels: each pixel is hidden by one of them.
    monkeypatch.setattr("fer.predict.explain._CELLS", 4)
    saliency = occlusion_map(model, face, 1)
    hidden = face.copy()
    blurred = cv2.GaussianBlur(face, (0, 0), SIDE / 8, borderType=cv2.BORDER_REPLICATE)
    hidden[12:24, 12:24] = blurred[12:24, 12:24]
    before, after = (model(image[None])[0, 1].astype(float) for image in (face, hidden))
    log_odds = [np.log(prob / (1 - prob)) for prob in (before, after)]
    assert saliency[14, 14] == pytest.approx(log_odds[0] - log_odds[1], abs=1e-3)


def test_only_the_most_salient_pixels_are_hidden():
    saliency = np.zeros((SIDE, SIDE), np.float32)
    saliency[10:25, 10:25] = np.linspace(1, 2, 225).reshape(15, 15)
    face = noise()
    changed = (hide_most_salient(face, saliency) != face).any(2)
    assert not changed[saliency == 0].any()
    assert changed[saliency > 0].mean() > 0.9
