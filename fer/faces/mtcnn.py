"""MTCNN, a cascade of three small networks, from facenet-pytorch."""

import cv2
import numpy as np

from fer.errors import FerError
from fer.faces.face import Face
from fer.faces.reduce import downscale

# The longer side of the image that the networks process, in pixels.
_MTCNN_SIZE = 640
# Pixels of the downscaled image. Half of it takes three times as long.
_MTCNN_MIN_FACE = 40
# Fraction of the longer side. Without it, the landmarks of faces that fill the image are far off.
_MTCNN_BORDER = 0.2


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
