"""The closed-form similarity transform, compared with a general least-squares solver."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.faces.crop import similarity_transform

RNG = np.random.default_rng(0)


def by_least_squares(source, target):
    """Solve for a, b and the shift of x' = a x - b y + s, y' = b x + a y + t."""
    rows = [row for x, y in source for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, s, t = np.linalg.lstsq(np.array(rows), target.ravel(), rcond=None)[0]
    return np.array([[a, -b, s], [b, a, t]])


@pytest.mark.parametrize("seed", range(20))
def test_equals_least_squares(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.uniform(-300, 300, (2, 5, 2))
    np.testing.assert_allclose(
        similarity_transform(source, target), by_least_squares(source, target), atol=1e-7
    )


@settings(max_examples=100, deadline=None)
@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_recovers_a_known_transform(scale, angle, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = RNG.uniform(0, 100, (5, 2))
    fitted = similarity_transform(source, source @ turn.T + (x, y))
    np.testing.assert_allclose(fitted, np.c_[turn, (x, y)], atol=1e-6)


def test_without_rotation_only_scale_and_translation():
    source = RNG.uniform(0, 100, (5, 2))
    fitted = similarity_transform(source, 2 * source + (3, 4), rotate=False)
    np.testing.assert_allclose(fitted, [[2, 0, 3], [0, 2, 4]], atol=1e-9)
    quarter = source @ [[0, 1], [-1, 0]]
    tilted = similarity_transform(source, 0.7 * source + 0.3 * quarter, rotate=False)
    assert tilted[0, 1] == tilted[1, 0] == 0
    assert tilted[0, 0] == pytest.approx(0.7)


TARGET = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.75], [0.65, 0.75]])


@pytest.mark.parametrize(
    "source", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.full((5, 2), np.inf), np.zeros((5, 2))]
)
def test_coincident_or_infinite_points_have_no_transform(source):
    assert similarity_transform(source, TARGET) is None


def test_without_rotation_an_inverted_target_has_no_transform():
    assert similarity_transform(-TARGET, TARGET, rotate=False) is None
