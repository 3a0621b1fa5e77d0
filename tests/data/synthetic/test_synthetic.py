"""Synthetic faces: reproducible, correctly labelled, detectable as faces, and not too easy."""

import os
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.config import SyntheticConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.synthetic import FaceParameters, face_at, read_synthetic, render_face

# A face on which every parameter is visible, because all optional features are enabled.
_ALL_FEATURES = FaceParameters(
    inner_brow_raise=0.3, brow_lower=0.3, lip_corner_pull=0.3, lips_part=0.4, hair_style="long",
    hair_tone=0.4, hair_gray=0.3, beard=0.4, yaw=8, pitch=5, roll=4, scale=0.75, glasses=0.5, occluder="hand",
    occluder_size=0.3, blur=0.004, noise=3, age=0.8,
)  # fmt: skip
# Values that differ visibly from those above; for other parameters 0, or 1 instead of 0.
_OTHER_VALUES = {
    "hair_style": "bald", "occluder": "none", "yaw": -40, "pitch": -30, "roll": -45, "scale": 0.5,
    "shift_x": -0.25, "shift_y": -0.25, "light_azimuth": -80, "light_elevation": -30, "occluder_angle": -180,
    "brightness": -0.5, "contrast": 0.3,
}  # fmt: skip


def _frontal(position: int) -> FaceParameters:
    p, _ = face_at(11, 0, position, difficulty=0.5)
    near = {name: float(np.clip(getattr(p, name), -8, 8)) for name in ("yaw", "pitch", "roll")}
    return replace(p, occluder="none", **near)


def test_same_seed_gives_the_same_bytes_with_any_number_of_workers(monkeypatch):
    one = read_synthetic(20, 8, 9, size=24, seed=5, num_workers=1)
    monkeypatch.setattr("fer.data.synthetic.dataset._MIN_FACES_PER_PROCESS", 5)
    three = read_synthetic(20, 8, 9, size=24, seed=5, num_workers=3)
    assert one.images.tobytes() == three.images.tobytes()
    np.testing.assert_array_equal(one.targets, three.targets)
    assert read_synthetic(20, 8, 9, size=24, seed=6).images.tobytes() != one.images.tobytes()


def test_global_random_state_is_not_used():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = read_synthetic(7, 0, 0).images
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    np.testing.assert_array_equal(read_synthetic(7, 0, 0).images, first)


def test_larger_split_starts_with_the_same_faces():
    small, large = read_synthetic(10, 7, 3), read_synthetic(24, 9, 3)
    for split in range(3):
        faces, more = small.images[small.split == split], large.images[large.split == split]
        np.testing.assert_array_equal(more[: len(faces)], faces)


def test_shape_splits_and_balanced_classes():
    data = read_synthetic(70, 21, 0, size=20, color=True)
    assert data.images.shape == (91, 20, 20, 3)
    assert data.images.dtype == np.uint8
    assert data.labels is FER7
    assert data.split_names == ("train", "val", "test")
    assert data.roles == {"train": "train", "val": "val"}
    assert np.bincount(data.targets[data.split == 0]).tolist() == [10] * 7
    assert np.bincount(data.targets[data.split == 1]).tolist() == [3] * 7
    assert (np.diff(data.targets) != 0).any()
    assert len({data.targets[start : start + 7].tobytes() for start in range(0, 70, 7)}) > 5, "not shuffled"


@pytest.mark.parametrize("name", [item.name for item in fields(FaceParameters)])
def test_every_parameter_changes_the_image(name):
    other = _OTHER_VALUES.get(name, 0 if getattr(_ALL_FEATURES, name) else 1)
    changed = render_face(replace(_ALL_FEATURES, **{name: other}), 96)[0]
    assert np.abs(changed.astype(int) - render_face(_ALL_FEATURES, 96)[0]).max() > 5


def test_landmarks_are_inside_and_in_order():
    for position in range(70):
        _, points = render_face(face_at(3, 0, position)[0], 48)
        assert points.shape == (5, 2)
        assert (points > 0).all()
        assert (points < 47).all()
        left, right, nose, mouth_left, mouth_right = points
        assert left[0] < right[0]
        assert mouth_left[0] < mouth_right[0]
        assert (left + right)[1] / 2 < nose[1] < (mouth_left + mouth_right)[1] / 2


def test_landmarks_mirror_with_yaw_and_roll():
    pose = {"yaw": 20, "roll": 10}
    points = render_face(FaceParameters(**pose), 64)[1]
    mirrored = render_face(FaceParameters(**{name: -angle for name, angle in pose.items()}), 64)[1]
    np.testing.assert_allclose(mirrored[[1, 0, 2, 4, 3]] * [-1, 1] + [63, 0], points, atol=1e-9)
    assert render_face(FaceParameters(yaw=20), 64)[1][2, 0] > 31.5, "a positive yaw turns to the right"
    assert render_face(FaceParameters(pitch=20), 64)[1][2, 1] < render_face(FaceParameters(), 64)[1][2, 1]


def test_landmarks_scale_with_the_image():
    small, large = (render_face(FaceParameters(roll=12), size)[1] for size in (48, 240))
    np.testing.assert_allclose((small + 0.5) * 5 - 0.5, large, atol=1e-9)


def test_iris_is_dark_at_the_eye_landmarks():
    image, points = render_face(FaceParameters(), 224, color=False)
    for x, y in np.rint(points[:2]).astype(int):
        assert image[y - 3 : y + 4, x - 3 : x + 4].mean() < 0.5 * np.median(
            image[y + 20 : y + 30, x - 9 : x + 9]
        )


def test_gray_is_the_luma_of_the_color_image():
    rgb, gray = (render_face(FaceParameters(), 64, color)[0] for color in (True, False))
    luma = rgb.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(gray[..., 0] - luma).max() <= 1.5


def test_haar_cascade_detects_frontal_faces():
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    detected = 0
    for position in range(60):
        image, points = render_face(_frontal(position), 224, color=False)
        boxes = cascade.detectMultiScale(image[..., 0], 1.1, 3, minSize=(60, 60))
        detected += any(x < points[2, 0] < x + w and y < points[2, 1] < y + h for x, y, w, h in boxes)
    assert detected >= 54


@pytest.mark.skipif("FER_YUNET_MODEL" not in os.environ, reason="FER_YUNET_MODEL is not set to YuNet's file")
def test_yunet_detects_frontal_faces_and_their_landmarks():
    detector = cv2.FaceDetectorYN.create(os.environ["FER_YUNET_MODEL"], "", (224, 224), score_threshold=0.6)
    errors = []
    for position in range(60):
        image, points = render_face(_frontal(position), 224)
        _, faces = detector.detect(np.ascontiguousarray(image[..., ::-1]))
        if faces is not None:
            distance = np.linalg.norm(faces[0, 4:14].reshape(5, 2) - points, axis=1)
            errors.append(distance.mean() / np.linalg.norm(points[0] - points[1]))
    assert len(errors) >= 54
    assert np.median(errors) < 0.15


@pytest.mark.slow
def test_linear_model_cannot_classify_the_emotions():
    data = read_synthetic(800, 0, 210)
    pixels = data.images.reshape(len(data), 48, 48).astype(np.float32)
    pixels = np.stack([cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA) for image in pixels])
    train, test = data.split == 0, data.split == 2
    scaler = StandardScaler().fit(pixels[train].reshape(train.sum(), -1))
    x, held_out = (scaler.transform(pixels[part].reshape(part.sum(), -1)) for part in (train, test))
    model = LogisticRegression(C=1e-2, max_iter=60).fit(x, data.targets[train])
    assert model.score(held_out, data.targets[test]) < 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 15}, "datamodule.size: expected an integer of at least 16, got 15"),
        ({"num_train": -1}, "datamodule.num_train: expected an integer of at least 0, got -1"),
        ({"num_val": -5}, "datamodule.num_val: expected an integer of at least 0, got -5"),
        ({"seed": -1}, "datamodule.seed: expected an integer of at least 0, got -1"),
        ({"difficulty": 1.5}, r"datamodule.difficulty: expected a number in \[0, 1\], got 1.5"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(FerError, match=message):
        SyntheticConfig(**options)


def test_a_dataset_without_faces_has_no_train_split():
    with pytest.raises(FerError, match="expected a train split, got no splits"):
        EmotionDataModule("synthetic", num_train=0, num_val=0, num_test=0)
