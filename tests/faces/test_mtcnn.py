"""MTCNN on drawn faces; apart, for it brings PyTorch along."""

import cv2
import numpy as np
import pytest

from fer.data.synthetic import face_at, render_face
from fer.faces.choose import choose_detector

pytest.importorskip("facenet_pytorch", reason="the extra faces is not installed")


def scene(place):
    """Return a drawn face in the middle of a larger picture, and its points."""
    picture, points = render_face(face_at(0, 0, place, 0.0)[0], 160)
    return cv2.copyMakeBorder(picture, *[80] * 4, cv2.BORDER_REPLICATE), points + 80.5


def test_points_lie_on_the_features():
    mtcnn, gaps = choose_detector("mtcnn"), []
    for picture, points in map(scene, range(6)):
        for face in mtcnn(picture)[:1]:
            gaps.append(np.linalg.norm(face.points - points, axis=1) / np.linalg.norm(points[1] - points[0]))
    assert len(gaps) >= 4
    assert np.median(gaps) < 0.2
    assert mtcnn(np.zeros((1, 500, 3), np.uint8)) == []
