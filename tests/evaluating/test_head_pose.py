"""Five points on the faces that are scored: found, kept, and said to be missing where they are."""

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from fer.analysis.image_quality import measure_pose
from fer.data.synthetic import render_face, sample_parameters
from fer.evaluating import head_pose
from fer.evaluating.head_pose import find_points
from fer.faces.choose import YUNET_VARIABLE

needs_yunet = pytest.mark.skipif(not os.environ.get(YUNET_VARIABLE), reason="needs YuNet's file")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    return tmp_path


def faces(number, **pose):
    """Draw gray faces of 48 px in colour-free light; return them and their true points."""
    rng = np.random.default_rng(0)
    angles = np.linspace(-40, 40, number)
    drawn = [replace(sample_parameters(i % 7, rng, 0.3), yaw=angles[i], **pose) for i in range(number)]
    images, points = zip(*(render_face(face, 48, color=False) for face in drawn), strict=True)
    return np.stack(images), np.stack(points), angles


def test_without_yunet_nothing_is_sliced_and_the_way_to_it_is_told(monkeypatch):
    monkeypatch.delenv(YUNET_VARIABLE, raising=False)
    points, words = find_points(np.zeros((2, 48, 48, 1), np.uint8))
    assert points is None
    assert "fer-predict PHOTO --detector yunet" in words


def test_a_file_that_is_not_there_does_not_cost_the_report(monkeypatch):
    monkeypatch.setenv(YUNET_VARIABLE, "nowhere.onnx")
    points, words = find_points(np.zeros((2, 48, 48, 1), np.uint8))
    assert points is None
    assert "nowhere.onnx" in words


@needs_yunet
def test_points_lie_on_drawn_faces_and_tell_their_pose():
    images, true, angles = faces(40)
    points, words = find_points(images)
    found = np.isfinite(points[:, 0, 0])
    assert found.mean() > 0.9
    assert f"{found.sum()} of 40 faces" in words
    assert np.median(np.linalg.norm(points - true, axis=2)[found]) < 3
    assert spearmanr(measure_pose(points)["turn"][found], abs(angles[found])).statistic > 0.6


@needs_yunet
def test_a_picture_without_a_face_has_no_points_and_colour_has_them_too():
    images, _, _ = faces(2)
    blank = np.full((1, 48, 48, 1), 128, np.uint8)
    points, words = find_points(np.repeat(np.concatenate([images, blank]), 3, 3))
    assert np.isfinite(points[:, 0, 0]).tolist() == [True, True, False]
    assert "2 of 3" in words


@needs_yunet
def test_what_was_found_is_kept_and_a_damaged_file_is_not_believed(cache, monkeypatch):
    images, _, _ = faces(3)
    first, _ = find_points(images)
    (file,) = cache.glob("points-*.npy")
    with monkeypatch.context() as patched:
        patched.setattr(head_pose, "_points_of", lambda *_: pytest.fail("looked for again"))
        assert np.array_equal(find_points(images)[0], first, equal_nan=True)
    file.write_bytes(b"damaged")
    assert np.array_equal(find_points(images)[0], first, equal_nan=True)
