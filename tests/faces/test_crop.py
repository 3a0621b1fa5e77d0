"""Faces are cropped as the rule specifies, and downscaled without aliasing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer.bundle.card import CROP_RULES
from fer.data.image_files import decode
from fer.faces.base import Face
from fer.faces.crop import crop_faces, crop_matrix
from fer.faces.detectors import WholeImage

RULE = CROP_RULES["synthetic"]
BOXES = CROP_RULES["fer2013"]
POINTS = np.array(RULE.points)


def dotted(points, side, radius):
    """Return a black image with a white dot around each point, rendered from distances."""
    y, x = np.mgrid[:side, :side] + 0.5
    near = np.min([np.hypot(x - px, y - py) for px, py in points], axis=0)
    return np.repeat((255 * np.clip(radius - near, 0, 1)).astype(np.uint8)[..., None], 3, 2)


def center_of_dot(face, point, radius):
    """Return the center of mass of the intensity near a point."""
    y, x = np.mgrid[: len(face), : len(face)] + 0.5
    weight = face[..., 0] * (np.hypot(x - point[0], y - point[1]) < radius)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("angle", [0, 25, -70, 170])
@pytest.mark.parametrize(("extent", "size"), [(40, 96), (100, 96), (300, 96), (700, 48)])
def test_landmarks_are_mapped_to_those_of_the_rule(angle, extent, size):
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (POINTS - POINTS.mean(0)) @ rotation.T * extent + (511.3, 498.7)
    image = dotted(points, 1000, extent / 16)
    face = crop_faces(image, [Face((0, 0, 9, 9), 1.0, points.astype(np.float32))], RULE, size)[0]
    for point in POINTS * size:
        assert np.abs(center_of_dot(face, point, size / 12) - point).max() < 0.12


def test_downscaling_averages_over_areas():
    """Noise is averaged out; sampling once per output pixel would keep it."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3)).astype(np.uint8)
    points = (POINTS * 960 + 100).astype(np.float32)
    face = crop_faces(noise, [Face((0, 0, 9, 9), 1.0, points)], RULE, 48)[0].astype(float)
    # 73.9: standard deviation of the noise; 20 x 20 pixels are averaged per output pixel.
    assert face.std() < 1.5 * 73.9 / 20
    expected = cv2.resize(noise[100:1060, 100:1060], (48, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(face.ravel(), expected.ravel())[0, 1] > 0.7
    assert abs(face.mean() - 127.5) < 0.5


@pytest.mark.parametrize("size", [48, 120, 200])
def test_box_is_cropped_as_a_square(size):
    smooth = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8), (0, 0), 4
    )
    face = crop_faces(smooth, [Face((110, 90, 100, 120), 1.0)], CROP_RULES["whole"], size)[0]
    part = smooth[90:210, 100:220]
    interpolation = cv2.INTER_AREA if size < 120 else cv2.INTER_LINEAR
    expected = cv2.resize(part, (size, size), interpolation=interpolation).astype(int)
    assert np.abs(face[2:-2, 2:-2] - expected[2:-2, 2:-2]).mean() < 1


def test_box_scale_and_shift():
    matrix = crop_matrix(Face((100, 200, 50, 100), 1.0), CROP_RULES["synthetic"])
    side = 137
    top = 200 + 50 - 10 - side / 2
    np.testing.assert_allclose(matrix @ (125 - side / 2, top, 1), (0, 0), atol=1e-9)
    np.testing.assert_allclose(matrix @ (125 + side / 2, top + side, 1), (1, 1), atol=1e-9)


def test_degenerate_landmarks_fall_back_to_the_box():
    box = (20.0, 20.0, 50.0, 50.0)
    for points in (np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)):
        for rule in (RULE, BOXES):
            np.testing.assert_array_equal(
                crop_matrix(Face(box, 1.0, points), rule), crop_matrix(Face(box, 1.0), rule)
            )


@pytest.mark.parametrize("shape", [(60, 60), (48, 48), (30, 91), (200, 150)])
def test_entire_image_is_cropped_as_in_training(shape):
    image = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    content = cv2.imencode(".png", image[..., ::-1])[1]
    faces = WholeImage()(image)
    np.testing.assert_array_equal(crop_faces(image, faces, RULE, 48)[0], decode(content, 48, True))


def test_pixels_beyond_the_border_repeat_it():
    image = np.full((50, 50, 3), 10, np.uint8)
    image[:, -1] = 200
    face = crop_faces(image, [Face((30, 10, 40, 40), 1.0)], CROP_RULES["whole"], 40)[0]
    assert (face[:, 22:] == 200).all()
    assert (face[:, :18] == 10).all()


@pytest.mark.parametrize(
    "box", [(-500, -500, 20, 20), (900, 0, 30, 30), (0, 0, 0, 0), (-1e5, -1e5, 2e5, 2e5)]
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (40_000, 3), (64, 64)])
def test_extreme_boxes_and_images(box, shape):
    image = np.full((*shape, 3), 77, np.uint8)
    faces = crop_faces(image, [Face(box, 1.0)] * 2, RULE, 24)
    assert faces.shape == (2, 24, 24, 3)
    assert (faces == 77).all()


@pytest.mark.parametrize("angle", [0, 20, -50, 180])
def test_a_box_is_rotated_so_that_the_face_is_upright(angle):
    """The crop of a rotated image equals the crop of the upright one."""
    upright = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (301, 301, 3), np.uint8), (0, 0), 6)
    turn = cv2.getRotationMatrix2D((150, 150), -angle, 1)
    turned = cv2.warpAffine(upright, turn, (301, 301), flags=cv2.INTER_CUBIC)
    points = np.float32([[120, 140], [180, 140], [150, 160], [130, 180], [170, 180]])
    turned_points = points @ turn[:, :2].T + turn[:, 2]
    box = (150.5 - 60, 150.5 - 80, 120, 160)
    crops = [
        crop_faces(image, [Face(box, 1.0, landmarks.astype(np.float32))], BOXES, 48)[0].astype(int)
        for image, landmarks in ((upright, points), (turned, turned_points))
    ]
    assert np.abs(crops[0] - crops[1]).mean() < 1
    no_points = crop_faces(upright, [Face(box, 1.0)], BOXES, 48)[0]
    np.testing.assert_array_equal(crops[0], no_points)


@pytest.mark.parametrize("left_eye", [(62, 50), (59, 46), (60, 45)])
def test_a_face_in_profile_stays_upright(left_eye):
    """Its eyes almost coincide, so their direction alone would be unreliable."""
    points = np.float32([(60, 45), left_eye, (80, 62), (64, 85), (66, 86)])
    matrix = crop_matrix(Face((10, 0, 90, 100), 1.0, points), BOXES)
    assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 25


def test_box_shift_follows_the_rotation_of_the_face():
    """The shift is towards the chin."""
    # Rotated by 90 degrees: the chin is at the left.
    right_eye, left_eye = (50, 40), (50, 60)
    points = np.float32([right_eye, left_eye, (45, 50), (40, 42), (40, 58)])
    rule = replace(BOXES, box_scale=1.0, box_shift=0.1)
    matrix = crop_matrix(Face((0, 0, 100, 100), 1.0, points), rule)
    np.testing.assert_allclose(matrix @ (40, 50, 1), (0.5, 0.5), atol=1e-9)
    np.testing.assert_allclose(matrix @ (90, 50, 1), (0.5, 0.0), atol=1e-9)


def test_no_faces():
    assert crop_faces(np.zeros((9, 9, 3), np.uint8), [], RULE, 48).shape == (0, 48, 48, 3)


@pytest.mark.parametrize("name", CROP_RULES)
def test_rules_are_plausible(name):
    """Eyes above nose above mouth, the person's right on the left, inside the image, and symmetric."""
    if not CROP_RULES[name].points:
        assert name in ("whole", "fer2013")
        return
    points = np.array(CROP_RULES[name].points)
    assert ((points > 0) & (points < 1)).all()
    np.testing.assert_allclose(points[[1, 0, 2, 4, 3]] * (-1, 1) + (1, 0), points, atol=0.0011)
    assert points[0, 1] < points[2, 1] < points[3, 1]
    assert points[0, 0] < points[1, 0]
