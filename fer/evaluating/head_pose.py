"""Five points on each face that is scored, for slices by head pose; YuNet finds them, where its file is."""

import hashlib
import os
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from fer.analysis.images import Images
from fer.data.cache import cache_folder
from fer.data.duplicates.signature import digests
from fer.data.pictures import ImageFiles
from fer.errors import FerError
from fer.faces.choose import choose_detector
from fer.faces.yunet import YuNet

VERSION = 1  # of what is found; a new number makes stored points of older ones stale
# Of 1,200 faces of FER2013's PublicTest, 48 px, YuNet finds 84 % as they are, 95 % enlarged to 80 px, 97 % at
# 96 and no more up to 160. At 288 it is 97 % still, and five times slower. A rim around them costs faces.
LEAST_SIDE = 96
NO_DETECTOR = (
    "No image is sliced by head pose: that takes the face detector YuNet, whose file is neither named by "
    "FER_YUNET_MODEL nor in the cache. `fer-predict PHOTO --detector yunet` downloads it there."
)
FOUND = "Head pose is told by five points that the detector YuNet finds on {} of {} faces."


def find_points(images: Images) -> tuple[np.ndarray | None, str]:
    """Find five points on each face, or take those that were found in the same pixels before from the cache.

    Args:
        images: uint8 ``(N, H, W, C)``, C is 1 or 3 (RGB), a face each.

    Returns:
        The points as `fer.analysis.image_quality.measure_pose` takes them, float32 ``(N, 5, 2)``, NaN where
        no face was found, or None where there is no detector with points; and a sentence on that.
    """
    try:
        detector = choose_detector("auto")
    except FerError as error:
        return None, f"No image is sliced by head pose. {error}"
    if not isinstance(detector, YuNet):
        return None, NO_DETECTOR
    path = cache_folder() / f"points-{_fingerprint(images, detector)}.npy"
    if (points := _load(path, len(images))) is None:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            found = threads.map(
                lambda row: _points_of(images[row : row + 1][0], detector), range(len(images))
            )
            points = np.array(list(found), np.float32).reshape(-1, 5, 2)
        _store(path, points)
    count = int(np.isfinite(points[:, 0, 0]).sum())
    return points, FOUND.format(f"{count:,}", f"{len(images):,}")


def _points_of(image: np.ndarray, detector: YuNet) -> np.ndarray:
    """Return the points of the largest face, ``(5, 2)`` in pixels; NaN where there is none."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image
    factor = max(1.0, LEAST_SIDE / min(picture.shape[:2]))
    if factor > 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    points = next((face.points for face in detector(picture) if face.points is not None), None)
    return np.full((5, 2), np.nan) if points is None else points / factor


def _fingerprint(images: Images, detector: YuNet) -> str:
    if isinstance(images, ImageFiles):
        boxes = b"" if images.boxes is None else images.boxes.tobytes()
        marks = [repr(images.shape).encode(), boxes, *images.files.contents(np.arange(len(images)))]
    else:
        marks = digests(np.asarray(images))
    parts = [f"{VERSION}".encode(), detector.model_file.read_bytes(), *marks]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def _load(path: Path, count: int) -> np.ndarray | None:
    """Return stored points; None where there are none, or damaged ones."""
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return points if points.shape == (count, 5, 2) else None


def _store(path: Path, points: np.ndarray) -> None:
    """Write points beside their place and move them there, so that a reader sees a whole file or none."""
    draft = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")  # the cache removes what a kill has left
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                np.save(file, points)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"Going on without storing the points of the faces: {error}.", stacklevel=3)
