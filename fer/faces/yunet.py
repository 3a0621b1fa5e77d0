"""OpenCV's YuNet: a small network that finds faces and five points on each."""

from pathlib import Path

import cv2
import numpy as np

from fer.errors import FerError
from fer.faces.face import Face
from fer.faces.pool import Pool
from fer.faces.reduce import SMALLEST_VIEW, reduced, usual_view
from fer.places import at_home

# scripts/measure_detectors.py, 77 photographs of one face each: 77 are found from 0.3 to 0.5 on, 76 at 0.6,
# 75 at 0.8, 66 at OpenCV's 0.9; no second face is made up at any of them.
MIN_SCORE = 0.6
_OVERLAP, _MOST = 0.3, 5000  # OpenCV's own
_LEAST_SIDE = 96  # px; of pictures that YuNet's coarsest map has one cell of, OpenCV sometimes makes nonsense


class YuNet:
    """Faces with five points, after Wu, Peng & Yu (2023, https://doi.org/10.1007/s11633-023-1423-y).

    May be called from several threads.

    Args:
        model_file: The ONNX file, e.g. ``face_detection_yunet_2023mar.onnx``; kept as an attribute.

    Raises:
        FerError: No such file, or another network.
    """

    name = "yunet"

    def __init__(self, model_file: str | Path) -> None:
        self.model_file = at_home(model_file)
        self._content = np.frombuffer(_read(self.model_file), np.uint8)
        self._networks = Pool(self._load)  # OpenCV's object may not be called from several threads
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise FerError(
                f"{self.model_file}: expected the face detector YuNet, got another file ({reason})."
            ) from None

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of an RGB picture, uint8 ``(H, W, 3)``, the largest first, with points."""
        view = usual_view(picture)
        faces = self._look(picture, view)
        if not faces and view > SMALLEST_VIEW:  # a face that fills a large picture shows only from afar
            faces = self._look(picture, SMALLEST_VIEW)
        return faces

    def _look(self, picture: np.ndarray, view: float) -> list[Face]:
        small, factor = reduced(picture, view)
        small = _at_least(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), _LEAST_SIDE)
        with self._networks.one() as network:
            network.setInputSize((small.shape[1], small.shape[0]))
            _, rows = network.detect(small)
        found = [] if rows is None else rows[np.isfinite(rows).all(1) & (rows[:, 2:4] > 0).all(1)]
        return sorted((_face(row, factor) for row in found), key=lambda face: -face.box[2] * face.box[3])

    def _load(self) -> cv2.FaceDetectorYN:
        return cv2.FaceDetectorYN.create(
            "onnx", self._content, np.empty(0, np.uint8), (64, 64), MIN_SCORE, _OVERLAP, _MOST
        )


def _at_least(picture: np.ndarray, side: int) -> np.ndarray:
    """Add black on the right and below until both sides are long enough; places stay what they are."""
    height, width = picture.shape[:2]
    more = max(0, side - height), max(0, side - width)
    return cv2.copyMakeBorder(picture, 0, more[0], 0, more[1], cv2.BORDER_CONSTANT) if any(more) else picture


def _read(path: Path) -> bytes:
    """Read it here: OpenCV cannot open every path, and says little about those that it cannot."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FerError(f"{path}: expected the face detector YuNet, but: {error.strerror}.") from None


def _face(row: np.ndarray, factor: np.ndarray) -> Face:
    """Make a face of YuNet's 15 numbers: box, five points, score."""
    left, top, width, height = (row[:4] * np.tile(factor, 2)).tolist()
    points = (row[4:14].reshape(5, 2) * factor).astype(np.float32)
    return Face((left, top, width, height), min(1.0, float(row[14])), points)
