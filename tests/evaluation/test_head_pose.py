"""Facial landmarks of scored faces: detection, cache, and the message without a detector."""

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from fer.analysis.metrics.slices import measure_pose
from fer.data.synthetic import render_face, sample_parameters
from fer.evaluation import head_pose
from fer.evaluation.head_pose import find_landmarks
from fer.faces.detectors import YUNET_ENV_VAR

needs_yunet = pytest.mark.skipif(not os.environ.get(YUNET_ENV_VAR), reason="needs YuNet's file")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    return tmp_path


def faces(number, **pose):
    """Render synthetic gray faces of 48 px; return images, true landmarks and yaw angles."""
    rng = np.random.default_rng(0)
    angles = np.linspace(-40, 40, number)
    parameters = [replace(sample_parameters(i % 7, rng, 0.3), yaw=angles[i], **pose) for i in range(number)]
    images, points = zip(*(render_face(face, 48, color=False) for face in parameters), strict=True)
    return np.stack(images), np.stack(points), angles


def test_without_yunet_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv(YUNET_ENV_VAR, raising=False)
    points, message = find_landmarks(np.zeros((2, 48, 48, 1), np.uint8))
    assert points is None
    assert "fer-predict PHOTO --detector yunet" in message


def test_a_missing_model_file_is_reported_without_failing(monkeypatch):
    monkeypatch.setenv(YUNET_ENV_VAR, "nowhere.onnx")
    points, message = find_landmarks(np.zeros((2, 48, 48, 1), np.uint8))
    assert points is None
    assert "nowhere.onnx" in message


@needs_yunet
def test_landmarks_of_synthetic_faces_are_accurate_and_reflect_the_pose():
    images, true, angles = faces(40)
    points, message = find_landmarks(images)
    detected = np.isfinite(points[:, 0, 0])
    assert detected.mean() > 0.9
    assert f"{detected.sum()} of 40 faces" in message
    assert np.median(np.linalg.norm(points - true, axis=2)[detected]) < 3
    assert spearmanr(measure_pose(points)["turn"][detected], abs(angles[detected])).statistic > 0.6


@needs_yunet
def test_images_without_a_face_have_no_landmarks_and_colour_works():
    images, _, _ = faces(2)
    blank = np.full((1, 48, 48, 1), 128, np.uint8)
    points, message = find_landmarks(np.repeat(np.concatenate([images, blank]), 3, 3))
    assert np.isfinite(points[:, 0, 0]).tolist() == [True, True, False]
    assert "2 of 3" in message


@needs_yunet
def test_landmarks_are_cached_and_a_damaged_cache_file_is_ignored(cache, monkeypatch):
    images, _, _ = faces(3)
    first, _ = find_landmarks(images)
    (file,) = cache.glob("points-*.npy")
    with monkeypatch.context() as patched:
        patched.setattr(head_pose, "_detect", lambda *_: pytest.fail("detected again"))
        assert np.array_equal(find_landmarks(images)[0], first, equal_nan=True)
    file.write_bytes(b"damaged")
    assert np.array_equal(find_landmarks(images)[0], first, equal_nan=True)
