"""OpenCV's YuNet, a small network that detects faces with five landmarks."""

from pathlib import Path

import cv2
import numpy as np

from fer.errors import FerError
from fer.faces.face import Face
from fer.faces.pool import ObjectPool
from fer.faces.reduce import MIN_DETECTION_SIZE, detection_size, downscale
from fer.places import expand_user

# Measured by scripts/measure_detectors.py on 77 photographs of one face: 77 are detected at 0.3 to 0.5, 76 at
# 0.6, 75 at 0.8, and 66 at OpenCV's default of 0.9. There is no false detection at any of them.
MIN_SCORE = 0.6
# OpenCV's defaults.
_NMS_THRESHOLD, _TOP_K = 0.3, 5000
# Pixels. OpenCV can return invalid detections when YuNet's coarsest feature map has only one cell.
_MIN_SIDE = 96


class YuNet:
    """Detector of faces with five landmarks (Wu, Peng & Yu 2023, https://doi.org/10.1007/s11633-023-1423-y).

    It may be called from several threads.

    Args:
        model_file: The ONNX file, e.g. ``face_detection_yunet_2023mar.onnx``; also an attribute.

    Raises:
        FerError: The file is missing or is not YuNet.
    """

    name = "yunet"

    def __init__(self, model_file: str | Path) -> None:
        self.model_file = expand_user(model_file)
        self._content = np.frombuffer(_read(self.model_file), np.uint8)
        # OpenCV's object must not be called from several threads.
        self._networks = ObjectPool(self._load)
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise FerError(
                f"{self.model_file}: expected the face detector YuNet, got another file ({reason})."
            ) from None

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first, with landmarks."""
        size = detection_size(image)
        faces = self._detect(image, size)
        # A face that fills a large image is detected only at a small size.
        if not faces and size > MIN_DETECTION_SIZE:
            faces = self._detect(image, MIN_DETECTION_SIZE)
        return faces

    def _detect(self, image: np.ndarray, size: float) -> list[Face]:
        small, factor = downscale(image, size)
        small = _pad_to(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), _MIN_SIDE)
        with self._networks.borrow() as network:
            network.setInputSize((small.shape[1], small.shape[0]))
            _, rows = network.detect(small)
        valid = [] if rows is None else rows[np.isfinite(rows).all(1) & (rows[:, 2:4] > 0).all(1)]
        return sorted(
            (_yunet_face(row, factor) for row in valid), key=lambda face: -face.box[2] * face.box[3]
        )

    def _load(self) -> cv2.FaceDetectorYN:
        return cv2.FaceDetectorYN.create(
            "onnx", self._content, np.empty(0, np.uint8), (64, 64), MIN_SCORE, _NMS_THRESHOLD, _TOP_K
        )


def _pad_to(image: np.ndarray, side: int) -> np.ndarray:
    """Pad with black on the right and below until both sides are long enough; coordinates do not change."""
    height, width = image.shape[:2]
    below, right = max(0, side - height), max(0, side - width)
    if not below and not right:
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)


def _read(path: Path) -> bytes:
    """Return the file's content. OpenCV cannot open every path, and its error messages are unclear."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FerError(
            f"{path}: expected the face detector YuNet, but it cannot be read: {error.strerror}."
        ) from None


def _yunet_face(row: np.ndarray, factor: np.ndarray) -> Face:
    """Return the face of one row of YuNet's output: box, five landmarks, score."""
    left, top, width, height = (row[:4] * np.tile(factor, 2)).tolist()
    points = (row[4:14].reshape(5, 2) * factor).astype(np.float32)
    return Face((left, top, width, height), min(1.0, float(row[14])), points)
