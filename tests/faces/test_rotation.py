"""Faces that are sideways or upside down."""

import os

import cv2
import numpy as np
import pytest

from fer.bundle.card import CROP_RULES
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.base import Face
from fer.faces.crop import crop_faces
from fer.faces.detectors import YUNET_ENV_VAR, choose_detector
from fer.faces.rotation import find_faces, turn_face

BOX = (10.0, 20.0, 30.0, 40.0)
POINTS = np.array([[15, 30], [30, 31], [22, 40], [17, 50], [29, 51]], np.float32)
# Width and height.
SIZE = (200, 100)


def turned(image, degrees):
    return np.ascontiguousarray(np.rot90(image, -degrees // 90))


@pytest.fixture(scope="module")
def noise():
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 3)


def test_a_face_is_turned_with_its_image():
    face = turn_face(Face(BOX, 0.9, POINTS), 90, SIZE)
    # The bottom of the box becomes its left side: 100 - 20 - 40.
    assert face.box == (40, 10, 40, 30)
    assert face.points[0].tolist() == [70, 15]
    assert turn_face(Face(BOX, 0.9), 180, SIZE).box == (160, 40, 30, 40)
    assert turn_face(Face(BOX, 0.9), 270, SIZE).box == (20, 160, 40, 30)
    whole = turn_face(face, 270, (100, 200))
    assert whole.box == BOX
    assert whole.points == pytest.approx(POINTS)


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("rule", ["fer2013", "synthetic", "whole"])
@pytest.mark.parametrize("points", [None, POINTS])
def test_the_crop_is_that_of_the_turned_image(noise, degrees, rule, points):
    face = Face(BOX, 0.9, points)
    (expected,) = crop_faces(noise, [face], CROP_RULES[rule], 48)
    image = turned(noise, 360 - degrees)
    original = turn_face(Face(BOX, 0.9, points, rotation=degrees), 360 - degrees, SIZE)
    (crop,) = crop_faces(image, [original], CROP_RULES[rule], 48)
    # Rounded in another order.
    assert np.abs(crop.astype(int) - expected).max() <= 2


def test_the_crop_of_a_whole_image_is_turned(noise):
    square = noise[:, :100]
    (crop,) = crop_faces(square, [Face((0, 0, 100, 100), 1.0, rotation=90)], CROP_RULES["whole"], 100)
    assert (crop == turned(square, 90)).all()


class ScriptedDetector:
    """Finds a face at `BOX` with the score of each call in turn; 0: no face."""

    def __init__(self, name, scores):
        self.name, self.shapes, self._scores = name, [], iter(scores)

    def __call__(self, image):
        self.shapes.append(image.shape[:2])
        score = next(self._scores)
        return [Face(BOX, score)] if score else []


@pytest.mark.parametrize(
    ("name", "scores", "rotation", "box"),
    [
        ("yunet", [0.9], 0, BOX),
        ("yunet", [0, 0, 0.9, 0], 180, (160, 40, 30, 40)),
        # Doubtful: another rotation counts if its score is clearly higher.
        ("yunet", [0.7, 0, 0.9, 0.8], 180, (160, 40, 30, 40)),
        ("yunet", [0.7, 0.7, 0.74, 0], 0, BOX),
        ("yunet", [0.7, 0, 0, 0], 0, BOX),
        ("haar", [0.5, 0, 0, 0.6], 270, (140, 10, 40, 30)),
        ("haar", [0.6], 0, BOX),
        # The scores of other detectors are not known.
        ("own", [0.1], 0, BOX),
        ("own", [0, 0.1, 0, 0], 90, (20, 60, 40, 30)),
    ],
)
def test_the_image_is_turned_only_without_a_certain_face(noise, name, scores, rotation, box):
    detector = ScriptedDetector(name, scores)
    (face,) = find_faces(detector, noise)
    assert face.rotation == rotation
    assert face.box == box
    assert len(detector.shapes) == len(scores)


def test_no_face_at_all(noise):
    detector = ScriptedDetector("yunet", [0, 0, 0, 0])
    assert find_faces(detector, noise) == []
    assert detector.shapes == [(100, 200), (200, 100), (100, 200), (200, 100)]


# YuNet finds these faces upside down too, with high scores.
@pytest.mark.parametrize(
    ("name", "degrees"), [("haar", 90), ("haar", 180), ("haar", 270), ("yunet", 90), ("yunet", 270)]
)
def test_synthetic_faces_are_found_in_any_rotation(name, degrees):
    if name == "yunet" and YUNET_ENV_VAR not in os.environ:
        pytest.skip(f"{YUNET_ENV_VAR} is not set")
    # Large, so that it is downscaled.
    image = np.repeat(np.repeat(render_sample(SAMPLES[-1]), 2, 0), 2, 1)
    detector = choose_detector(name)
    upright = find_faces(detector, image)
    assert [face.rotation for face in upright] == [0, 0, 0]
    faces = find_faces(detector, turned(image, degrees))
    assert [face.rotation for face in faces] == [360 - degrees] * 3
    size = image.shape[1], image.shape[0]
    for face in upright:
        expected = turn_face(face, degrees, size)
        nearest = min(np.abs(np.subtract(found.box, expected.box)).max() for found in faces)
        assert nearest < 0.25 * face.box[2]
