"""OpenCV's YuNet, a small network that detects faces with five landmarks, and the download of its file."""

import hashlib
import urllib.request
from http.client import HTTPException
from pathlib import Path

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.core.paths import atomic_write, cache_folder, expand_user
from fer.faces.base import MIN_DETECTION_SIZE, Face, ObjectPool, detection_size, downscale

# Measured on 77 photographs of one face: 77 are detected at 0.3 to 0.5, 76 at
# 0.6, 75 at 0.8, and 66 at OpenCV's default of 0.9. There is no false detection at any of them.
MIN_SCORE = 0.6
# OpenCV's defaults.
_NMS_THRESHOLD, _TOP_K = 0.3, 5000
# Pixels. OpenCV can return invalid detections when YuNet's coarsest feature map has only one cell.
_MIN_SIDE = 96
# OpenCV's model zoo at one commit (Apache-2.0). The hash is the one in the zoo's Git LFS pointer.
YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/82b38c8f98e7b52aa171400f3e4c722352d0669f"
    "/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
# At most this many bytes are downloaded; the file has 232,589.
_MAX_BYTES = 10 << 20
_TIMEOUT_SECONDS = 20.0
ADVICE = "Give the file with --detector-model FILE or FER_YUNET_MODEL=FILE, or use --detector haar."


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
        # The working folder may change before the object is pickled.
        self._absolute = self.model_file.absolute()
        # OpenCV cannot open every path, and its error messages are unclear.
        try:
            self._content = np.frombuffer(self.model_file.read_bytes(), np.uint8)
        except OSError as error:
            raise FerError(
                f"{self.model_file}: expected the face detector YuNet, but it cannot be read: "
                f"{error.strerror}."
            ) from None
        # OpenCV's object must not be called from several threads.
        self._networks = ObjectPool(self._create_network)
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise FerError(
                f"{self.model_file}: expected the face detector YuNet, got another file ({reason})."
            ) from None

    def __reduce__(self) -> tuple[type["YuNet"], tuple[Path]]:
        """Return how to create it in another process: from its file."""
        return YuNet, (self._absolute,)

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

    def _create_network(self) -> "cv2.FaceDetectorYN":
        level = cv2.utils.logging.getLogLevel()
        # OpenCV 5 prints a warning about its own default for every network.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            return cv2.FaceDetectorYN.create(
                "onnx", self._content, np.empty(0, np.uint8), (64, 64), MIN_SCORE, _NMS_THRESHOLD, _TOP_K
            )
        finally:
            cv2.utils.logging.setLogLevel(level)


def _pad_to(image: np.ndarray, side: int) -> np.ndarray:
    """Pad with black on the right and below until both sides are long enough; coordinates do not change."""
    below, right = (max(0, side - length) for length in image.shape[:2])
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)


def _yunet_face(row: np.ndarray, factor: np.ndarray) -> Face:
    """Return the face of one row of YuNet's output: box, five landmarks, score."""
    left, top, width, height = (row[:4] * np.tile(factor, 2)).tolist()
    points = (row[4:14].reshape(5, 2) * factor).astype(np.float32)
    return Face((left, top, width, height), min(1.0, float(row[14])), points)


def yunet_in_cache(sha256: str = YUNET_SHA256) -> Path | None:
    """Return the path of YuNet's file in the user's cache; None if it is missing or damaged."""
    try:
        path = yunet_cache_path()
        return path if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else None
    except (OSError, FerError):
        # FerError: the user has no home folder.
        return None


def fetch_yunet(url: str = YUNET_URL, sha256: str = YUNET_SHA256) -> Path:
    """Return the path of YuNet's file in the user's cache, after downloading it if necessary.

    The file is checked against its SHA-256 and written atomically.

    Raises:
        FerError: No network, a file with another hash, or a cache that cannot be written.
    """
    if path := yunet_in_cache(sha256):
        return path
    content = _download(url)
    if (actual := hashlib.sha256(content).hexdigest()) != sha256:
        raise FerError(
            f"{url}: expected the face detector YuNet with SHA-256 {sha256[:12]}…, got {actual[:12]}… "
            f"({len(content):,} bytes). {ADVICE}"
        )
    path = yunet_cache_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise FerError(
            f"{path}: cannot be written ({error.strerror}). Set FER_CACHE_DIR, or: {ADVICE}"
        ) from None
    return path


def yunet_cache_path() -> Path:
    """Return the path of YuNet's file in the user's cache, see `fer.core.paths.cache_folder`."""
    return cache_folder() / YUNET_URL.rsplit("/", 1)[1]


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return response.read(_MAX_BYTES)
    except (OSError, HTTPException) as error:
        # URLError and timeouts are OSErrors.
        reason = getattr(error, "reason", None) or error
        raise FerError(f"{url}: the face detector YuNet cannot be downloaded: {reason}. {ADVICE}") from None
