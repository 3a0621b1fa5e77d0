"""Choose a face detector by name; the Haar and MTCNN detectors, and one for images that are cropped faces."""

import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.core.errors import FerError, did_you_mean
from fer.faces.base import Detector, Face, ObjectPool, detection_size, downscale
from fer.faces.yunet import YuNet, fetch_yunet, yunet_in_cache

DETECTORS = ("auto", "yunet", "haar", "mtcnn", "none")
YUNET_ENV_VAR = "FER_YUNET_MODEL"
# Measured on 77 photographs, each mostly filled by one face: 73 are detected
# with these Haar settings, 61 without the border. `frontalface_alt2` detects no more and is slower.
_HAAR_CASCADE = "haarcascade_frontalface_default.xml"
# The cascade's window is 24 pixels.
_HAAR_SCALE_FACTOR, _HAAR_MIN_NEIGHBORS, _HAAR_MIN_FACE = 1.1, 3, 24
# Fraction of the longer side. The cascade also uses the surroundings of a face.
_HAAR_BORDER = 0.2
# The last stage's weight is 4.6 or more for nine in ten true faces, and 0 to 4 for false detections.
_HAAR_MIDDLE_WEIGHT, _HAAR_WEIGHT_SCALE, _HAAR_MIN_WEIGHT = 3.0, 1.5, 1.0
# Longer side of the image that MTCNN's networks process, in pixels.
_MTCNN_SIZE = 640
# Pixels of the downscaled image. Half of it takes three times as long.
_MTCNN_MIN_FACE = 40
# Fraction of the longer side. Without it, the landmarks of faces that fill the image are far off.
_MTCNN_BORDER = 0.2


def choose_detector(name: str = "auto", model_file: str | Path | None = None) -> Detector:
    """Return a face detector.

    - ``auto``: YuNet if its file is given, set by ``FER_YUNET_MODEL`` or in the user's cache; else Haar.
      Nothing is downloaded.
    - ``yunet``: the most accurate, with landmarks. Its file is downloaded to the user's cache if needed.
    - ``haar``: included in OpenCV; frontal faces only, no landmarks.
    - ``mtcnn``: with landmarks; needs the extra ``faces`` (PyTorch).
    - ``none``: each image already is a cropped face.

    Args:
        name: One of these names.
        model_file: YuNet's ONNX file.

    Returns:
        The detector; its ``name`` says which one ``auto`` chose.

    Raises:
        FerError: An unknown name, a file that is missing, cannot be downloaded or is not YuNet, a file for a
            detector that takes none, or the extra is not installed.
    """
    if name not in DETECTORS:
        hint = did_you_mean(name, DETECTORS)
        raise FerError(f"--detector: expected one of {', '.join(DETECTORS)}, got {name!r}.{hint}")
    if model_file is not None and name not in ("auto", "yunet"):
        raise FerError(
            f"--detector-model: the detector {name} takes no file, got {model_file}. Use --detector yunet."
        )
    file = model_file or os.environ.get(YUNET_ENV_VAR)
    if name == "auto" and not (file := file or yunet_in_cache()):
        return Haar()
    if name in ("auto", "yunet"):
        return YuNet(file or fetch_yunet())
    detectors: dict[str, type[Detector]] = {"haar": Haar, "mtcnn": Mtcnn, "none": WholeImage}
    return detectors[name]()


class Haar:
    """Detector of frontal faces by a cascade of Haar features (Viola & Jones 2001).

    https://doi.org/10.1109/CVPR.2001.990517. It may be called from several threads.

    Raises:
        FerError: OpenCV has no cascades: they are in OpenCV 4 only.
    """

    name = "haar"

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FerError(
                "--detector haar (also auto, without YuNet's model file): expected OpenCV 4, got OpenCV "
                f"{cv2.__version__}, which has no cascades. "
                "Use --detector yunet, which downloads its file once, or uninstall every opencv package and "
                "install 'opencv-python-headless<5'."
            )
        # OpenCV's object must not be called from several threads.
        self._cascades = ObjectPool(_load_cascade)

    def __reduce__(self) -> tuple[type["Haar"], tuple[()]]:
        """Return how to create it in another process."""
        return Haar, ()

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first, without landmarks.

        The score is a sigmoid of the last stage's weight, 0.5 at a weight of 3.
        """
        small, factor = downscale(image, detection_size(image))
        border = round(_HAAR_BORDER * max(small.shape[:2]))
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
        with self._cascades.borrow() as cascade:
            boxes, _, weights = cascade.detectMultiScale3(
                gray,
                _HAAR_SCALE_FACTOR,
                _HAAR_MIN_NEIGHBORS,
                minSize=(_HAAR_MIN_FACE, _HAAR_MIN_FACE),
                outputRejectLevels=True,
            )
        pairs = zip(np.reshape(boxes, (-1, 4)), np.ravel(weights), strict=True)
        faces = [
            _haar_face(box, weight, border, factor) for box, weight in pairs if weight >= _HAAR_MIN_WEIGHT
        ]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _load_cascade() -> Any:
    """Return a ``cv2.CascadeClassifier``; OpenCV 5 does not have the class."""
    from cv2.data import haarcascades

    return cv2.CascadeClassifier(str(Path(haarcascades) / _HAAR_CASCADE))


def _haar_face(box: np.ndarray, weight: float, border: int, factor: np.ndarray) -> Face:
    left, top, width, height = ((box - [border, border, 0, 0]) * np.tile(factor, 2)).tolist()
    score = 1 / (1 + math.exp((_HAAR_MIDDLE_WEIGHT - weight) / _HAAR_WEIGHT_SCALE))
    return Face((left, top, width, height), score)


class Mtcnn:
    """Detector of faces with five landmarks (Zhang et al. 2016, https://doi.org/10.1109/LSP.2016.2603342).

    Raises:
        FerError: The extra ``faces`` is not installed.
    """

    name = "mtcnn"

    def __init__(self) -> None:
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise FerError(
                f"--detector mtcnn needs the extra 'faces' ({error}). Install it: "
                'pip install "fer-lightning[faces]". Or use --detector yunet or haar.'
            ) from None
        self._networks = MTCNN(keep_all=True, min_face_size=_MTCNN_MIN_FACE, device="cpu", post_process=False)

    def __reduce__(self) -> tuple[type["Mtcnn"], tuple[()]]:
        """Return how to create it in another process."""
        return Mtcnn, ()

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, the largest first, with landmarks."""
        small, factor = downscale(image, _MTCNN_SIZE)
        border = round(_MTCNN_BORDER * max(small.shape[:2]))
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        if min(padded.shape[:2]) < _MTCNN_MIN_FACE:
            return []
        boxes, scores, points = self._networks.detect(padded, landmarks=True)
        if boxes is None:
            return []
        detections = zip(boxes.reshape(-1, 2, 2) - border, scores, points - border, strict=True)
        faces = [
            _mtcnn_face(corners * factor, score, landmarks * factor)
            for corners, score, landmarks in detections
        ]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _mtcnn_face(corners: np.ndarray, score: float, points: np.ndarray) -> Face:
    (left, top), (right, bottom) = corners.tolist()
    return Face((left, top, right - left, bottom - top), float(score), points.astype(np.float32))


class WholeImage:
    """Returns the entire image as one face; `fer.faces.crop.crop_faces` then takes its central square."""

    name = "none"

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return one face that covers an RGB image, uint8 ``(H, W, 3)``."""
        height, width = image.shape[:2]
        return [Face((0, 0, width, height), 1.0)]
