"""MTCNN on synthetic faces; a separate file because it imports PyTorch."""

import cv2
import numpy as np
import pytest

from fer.data.synthetic import face_at, render_face
from fer.faces.detectors import choose_detector

pytest.importorskip("facenet_pytorch", reason="the extra faces is not installed")


def framed_face(position):
    """Return a synthetic face in the middle of a larger image, and its landmarks."""
    image, points = render_face(face_at(0, 0, position, 0.0)[0], 160)
    return cv2.copyMakeBorder(image, *[80] * 4, cv2.BORDER_REPLICATE), points + 80.5


def test_landmarks_are_accurate():
    mtcnn, errors = choose_detector("mtcnn"), []
    for image, points in map(framed_face, range(6)):
        for face in mtcnn(image)[:1]:
            errors.append(
                np.linalg.norm(face.points - points, axis=1) / np.linalg.norm(points[1] - points[0])
            )
    assert len(errors) >= 4
    assert np.median(errors) < 0.2
    assert mtcnn(np.zeros((1, 500, 3), np.uint8)) == []
