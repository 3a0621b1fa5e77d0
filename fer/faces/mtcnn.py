"""MTCNN: three small networks one after the other, by way of facenet-pytorch."""

import cv2
import numpy as np

from fer.errors import FerError
from fer.faces.face import Face
from fer.faces.reduce import reduced

_LONGEST = 640  # pixels
_MIN_FACE = 40  # pixels of the reduced picture; half of it takes three times as long
_BORDER = 0.2  # of the longer side: without it the points of faces that fill the picture are far off


class Mtcnn:
    """Faces with five points, after Zhang et al. (2016, https://doi.org/10.1109/LSP.2016.2603342).

    Raises:
        FerError: The extra ``faces`` is not installed.
    """

    name = "mtcnn"

    def __init__(self) -> None:
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise FerError(
                f"The face detector MTCNN needs the extra 'faces' ({error}). Install it: "
                'pip install "fer-lightning[faces]". Or use --detector yunet or haar.'
            ) from None
        self._networks = MTCNN(keep_all=True, min_face_size=_MIN_FACE, device="cpu", post_process=False)

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of an RGB picture, uint8 ``(H, W, 3)``, the largest first, with points."""
        small, factor = reduced(picture, _LONGEST)
        border = round(_BORDER * max(small.shape[:2]))
        framed = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        if min(framed.shape[:2]) < _MIN_FACE:
            return []
        boxes, scores, points = self._networks.detect(framed, landmarks=True)
        if boxes is None:
            return []
        found = zip(boxes.reshape(-1, 2, 2) - border, scores, points - border, strict=True)
        faces = [_face(corners * factor, score, spots * factor) for corners, score, spots in found]
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _face(corners: np.ndarray, score: float, points: np.ndarray) -> Face:
    (left, top), (right, bottom) = corners.tolist()
    return Face((left, top, right - left, bottom - top), float(score), points.astype(np.float32))
