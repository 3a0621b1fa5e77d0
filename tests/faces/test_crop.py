"""Faces are cut out where the rule says, and shrunk without losing pixels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer.data.pictures import decode
from fer.faces.crop import crop_matrix, cut_faces
from fer.faces.face import Face
from fer.faces.rules import RULES
from fer.faces.whole import WholePicture

RULE = RULES["synthetic"]
BOXES = RULES["fer2013"]
POINTS = np.array(RULE.points)


def dotted(points, side, radius):
    """Return a black picture with a white dot around each point, drawn by distance alone."""
    y, x = np.mgrid[:side, :side] + 0.5
    near = np.min([np.hypot(x - px, y - py) for px, py in points], axis=0)
    return np.repeat((255 * np.clip(radius - near, 0, 1)).astype(np.uint8)[..., None], 3, 2)


def centre_of_dot(face, at, radius):
    """Return the centre of mass of the light near a place."""
    y, x = np.mgrid[: len(face), : len(face)] + 0.5
    weight = face[..., 0] * (np.hypot(x - at[0], y - at[1]) < radius)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("angle", [0, 25, -70, 170])
@pytest.mark.parametrize(("extent", "size"), [(40, 96), (100, 96), (300, 96), (700, 48)])
def test_points_fall_where_the_rule_has_them(angle, extent, size):
    turn = np.radians(angle)
    way = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (POINTS - POINTS.mean(0)) @ way.T * extent + (511.3, 498.7)
    picture = dotted(points, 1000, extent / 16)
    face = cut_faces(picture, [Face((0, 0, 9, 9), 1.0, points.astype(np.float32))], RULE, size)[0]
    for at in POINTS * size:
        assert np.abs(centre_of_dot(face, at, size / 12) - at).max() < 0.12


def test_shrinking_averages_over_areas():
    """Noise comes out as its mean; a single look-up a pixel would let it through."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3)).astype(np.uint8)
    points = (POINTS * 960 + 100).astype(np.float32)
    face = cut_faces(noise, [Face((0, 0, 9, 9), 1.0, points)], RULE, 48)[0].astype(float)
    assert face.std() < 1.5 * 73.9 / 20  # 20 x 20 pixels for one
    expected = cv2.resize(noise[100:1060, 100:1060], (48, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(face.ravel(), expected.ravel())[0, 1] > 0.7
    assert abs(face.mean() - 127.5) < 0.5


@pytest.mark.parametrize("size", [48, 120, 200])
def test_box_is_cut_as_a_square(size):
    smooth = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8), (0, 0), 4
    )
    face = cut_faces(smooth, [Face((110, 90, 100, 120), 1.0)], RULES["whole"], size)[0]
    part = smooth[90:210, 100:220]
    way = cv2.INTER_AREA if size < 120 else cv2.INTER_LINEAR
    expected = cv2.resize(part, (size, size), interpolation=way).astype(int)
    assert np.abs(face[2:-2, 2:-2] - expected[2:-2, 2:-2]).mean() < 1


def test_box_scale_and_shift():
    matrix = crop_matrix(Face((100, 200, 50, 100), 1.0), RULES["synthetic"])
    side = 137
    top = 200 + 50 - 10 - side / 2
    np.testing.assert_allclose(matrix @ (125 - side / 2, top, 1), (0, 0), atol=1e-9)
    np.testing.assert_allclose(matrix @ (125 + side / 2, top + side, 1), (1, 1), atol=1e-9)


def test_impossible_points_fall_back_on_the_box():
    box = (20.0, 20.0, 50.0, 50.0)
    for points in (np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)):
        for rule in (RULE, BOXES):
            np.testing.assert_array_equal(
                crop_matrix(Face(box, 1.0, points), rule), crop_matrix(Face(box, 1.0), rule)
            )


@pytest.mark.parametrize("shape", [(60, 60), (48, 48), (30, 91), (200, 150)])
def test_whole_picture_is_cut_as_in_training(shape):
    picture = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    content = cv2.imencode(".png", picture[..., ::-1])[1]
    faces = WholePicture()(picture)
    np.testing.assert_array_equal(cut_faces(picture, faces, RULE, 48)[0], decode(content, 48, True))


def test_what_lies_beyond_the_edge_repeats_it():
    picture = np.full((50, 50, 3), 10, np.uint8)
    picture[:, -1] = 200
    face = cut_faces(picture, [Face((30, 10, 40, 40), 1.0)], RULES["whole"], 40)[0]
    assert (face[:, 22:] == 200).all()
    assert (face[:, :18] == 10).all()


@pytest.mark.parametrize(
    "box", [(-500, -500, 20, 20), (900, 0, 30, 30), (0, 0, 0, 0), (-1e5, -1e5, 2e5, 2e5)]
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (40_000, 3), (64, 64)])
def test_strange_boxes_and_pictures(box, shape):
    picture = np.full((*shape, 3), 77, np.uint8)
    faces = cut_faces(picture, [Face(box, 1.0)] * 2, RULE, 24)
    assert faces.shape == (2, 24, 24, 3)
    assert (faces == 77).all()


@pytest.mark.parametrize("angle", [0, 20, -50, 180])
def test_a_box_is_turned_until_the_face_is_upright(angle):
    """Cutting a turned picture gives what cutting the upright one gives."""
    upright = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (301, 301, 3), np.uint8), (0, 0), 6)
    turn = cv2.getRotationMatrix2D((150, 150), -angle, 1)
    turned = cv2.warpAffine(upright, turn, (301, 301), flags=cv2.INTER_CUBIC)
    points = np.float32([[120, 140], [180, 140], [150, 160], [130, 180], [170, 180]])
    elsewhere = points @ turn[:, :2].T + turn[:, 2]
    box = (150.5 - 60, 150.5 - 80, 120, 160)
    cuts = [
        cut_faces(picture, [Face(box, 1.0, at.astype(np.float32))], BOXES, 48)[0].astype(int)
        for picture, at in ((upright, points), (turned, elsewhere))
    ]
    assert np.abs(cuts[0] - cuts[1]).mean() < 1
    no_points = cut_faces(upright, [Face(box, 1.0)], BOXES, 48)[0]
    np.testing.assert_array_equal(cuts[0], no_points)


@pytest.mark.parametrize("left_eye", [(62, 50), (59, 46), (60, 45)])
def test_a_face_in_profile_stays_upright(left_eye):
    """Its eyes fall together, and would alone turn it by anything."""
    points = np.float32([(60, 45), left_eye, (80, 62), (64, 85), (66, 86)])
    matrix = crop_matrix(Face((10, 0, 90, 100), 1.0, points), BOXES)
    assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 25


def test_a_turned_box_moves_along_the_face():
    """The shift is down the face, wherever its chin points."""
    right_eye, left_eye = (50, 40), (50, 60)  # turned by 90 degrees: the chin is at the left
    points = np.float32([right_eye, left_eye, (45, 50), (40, 42), (40, 58)])
    rule = replace(BOXES, box_scale=1.0, box_shift=0.1)
    matrix = crop_matrix(Face((0, 0, 100, 100), 1.0, points), rule)
    np.testing.assert_allclose(matrix @ (40, 50, 1), (0.5, 0.5), atol=1e-9)
    np.testing.assert_allclose(matrix @ (90, 50, 1), (0.5, 0.0), atol=1e-9)


def test_no_faces():
    assert cut_faces(np.zeros((9, 9, 3), np.uint8), [], RULE, 48).shape == (0, 48, 48, 3)


@pytest.mark.parametrize("name", RULES)
def test_rules_are_sound(name):
    """Eyes above nose above mouth, the person's right at the left, inside the picture, mirror images."""
    if not RULES[name].points:
        assert name in ("whole", "fer2013")
        return
    points = np.array(RULES[name].points)
    assert ((points > 0) & (points < 1)).all()
    np.testing.assert_allclose(points[[1, 0, 2, 4, 3]] * (-1, 1) + (1, 0), points, atol=0.0011)
    assert points[0, 1] < points[2, 1] < points[3, 1]
    assert points[0, 0] < points[1, 0]
