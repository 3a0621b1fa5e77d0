"""Find faces that are sideways or upside down, by detection in the turned image."""

from dataclasses import replace

import numpy as np

from fer.faces.base import Detector, Face, detection_size, downscale, scale_face

# Clockwise, in degrees.
_TURNS = (90, 180, 270)
# A face with a lower score is doubtful: detectors also find faces that are upside down, with landmarks as if
# they were upright. Of 77 photographs, YuNet finds 76 upright, 5 of them below, and 56 upside down, 51 of
# them below. Scores of other detectors tell less.
_SURE_SCORES = {"yunet": 0.88, "haar": 0.6}
# By how much the score of a turned image must be higher than that of the doubtful faces.
_MIN_GAIN = 0.05


def find_faces(detector: Detector, image: np.ndarray) -> list[Face]:
    """Return the faces of an image, the largest first; sideways and upside-down ones have a ``rotation``.

    The image is turned only if it has no face as it is, or only doubtful ones. Then that of the four
    rotations counts which has the face with the highest score: all faces have the same rotation.

    Args:
        detector: Finds upright faces.
        image: RGB, uint8 ``(H, W, 3)``.
    """
    faces = detector(image)
    best = _best_score(faces)
    if faces and best >= _SURE_SCORES.get(detector.name, 0.0):
        return faces
    # Not smaller: a detector downscales it to a size that depends on that of the image.
    small, factor = downscale(image, 2 * detection_size(image))
    needed = best + _MIN_GAIN if faces else 0.0
    for degrees in _TURNS:
        turned = np.ascontiguousarray(np.rot90(small, -degrees // 90))
        found = detector(turned)
        if found and (score := _best_score(found)) > needed:
            needed = score
            size = turned.shape[1], turned.shape[0]
            faces = [
                replace(scale_face(turn_face(face, 360 - degrees, size), factor), rotation=degrees)
                for face in found
            ]
    return faces


def turn_face(face: Face, degrees: int, size: tuple[float, float]) -> Face:
    """Return the position of a face after the image has been turned; its ``rotation`` is unchanged.

    Args:
        face: In pixels before.
        degrees: Clockwise, a multiple of 90.
        size: Width and height of the image before, in pixels.
    """
    for _ in range(degrees // 90 % 4):
        face, size = _quarter_turn(face, size[1]), (size[1], size[0])
    return face


def _quarter_turn(face: Face, height: float) -> Face:
    """Turn by 90 degrees clockwise: ``(x, y)`` becomes ``(height - y, x)``."""
    left, top, face_width, face_height = face.box
    points = face.points
    if points is not None:
        points = np.stack([height - points[:, 1], points[:, 0]], axis=1).astype(np.float32)
    return replace(face, box=(height - top - face_height, left, face_height, face_width), points=points)


def _best_score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)
