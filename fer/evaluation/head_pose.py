"""Five facial landmarks of each scored face, for slices by head pose: detected by YuNet, and cached."""

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from fer.analysis.predictions import Images
from fer.core.errors import FerError
from fer.core.paths import atomic_write, cache_folder
from fer.core.threads import available_cores
from fer.data.duplicates.hashes import pixel_digests
from fer.data.image_files import ImageFiles
from fer.faces.detectors import choose_detector
from fer.faces.yunet import YuNet

# Version of the detection; increase it to invalidate landmarks in the cache
VERSION = 1
# YuNet detects 84 % of 1,200 faces of FER2013's PublicTest at their 48 px, 95 % enlarged to 80 px, 97 % at 96
# px, and not more up to 160 px. At 288 px it is still 97 %, and five times slower. Padding reduces the rate.
MIN_SIDE = 96
NO_DETECTOR = (
    "There are no slices by head pose, because they need the face detector YuNet. Its file is neither named "
    "by FER_YUNET_MODEL nor in the cache. `fer-predict PHOTO --detector yunet` downloads it into the cache."
)
DETECTED = "Head pose is computed from five landmarks, which the detector YuNet finds on {} of {} faces."


def find_landmarks(images: Images) -> tuple[np.ndarray | None, str]:
    """Detect five facial landmarks on each face, or load them from the cache if the same images are there.

    Args:
        images: uint8 ``(N, H, W, C)``, C is 1 or 3 (RGB), one face each.

    Returns:
        The landmarks for `fer.analysis.metrics.slices.measure_pose`, float32 ``(N, 5, 2)`` in pixels, NaN
        where no face was detected, or None if there is no detector with landmarks; and a sentence on that.
    """
    try:
        detector = choose_detector("auto")
    except FerError as error:
        return None, f"There are no slices by head pose. {error}"
    if not isinstance(detector, YuNet):
        return None, NO_DETECTOR
    path = cache_folder() / f"points-{_fingerprint(images, detector)}.npy"
    if (points := _load(path, len(images))) is None:
        with ThreadPoolExecutor(available_cores()) as threads:
            rows = range(len(images))
            detected = threads.map(lambda row: _detect(images[row : row + 1][0], detector), rows)
            points = np.array(list(detected), np.float32).reshape(-1, 5, 2)
        _store(path, points)
    count = int(np.isfinite(points[:, 0, 0]).sum())
    return points, DETECTED.format(f"{count:,}", f"{len(images):,}")


def _detect(image: np.ndarray, detector: YuNet) -> np.ndarray:
    """Return the landmarks of the largest face, ``(5, 2)`` in pixels; NaN if no face is detected."""
    rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image
    factor = max(1.0, MIN_SIDE / min(rgb.shape[:2]))
    if factor > 1:
        rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    points = next((face.points for face in detector(rgb) if face.points is not None), None)
    return np.full((5, 2), np.nan) if points is None else points / factor


def _fingerprint(images: Images, detector: YuNet) -> str:
    if isinstance(images, ImageFiles):
        boxes = b"" if images.boxes is None else images.boxes.tobytes()
        hashes = [repr(images.shape).encode(), boxes, *images.files.content_hashes(np.arange(len(images)))]
    else:
        hashes = pixel_digests(np.asarray(images))
    parts = [f"{VERSION}".encode(), detector.model_file.read_bytes(), *hashes]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def _load(path: Path, count: int) -> np.ndarray | None:
    """Return the stored landmarks; None if there are none or the file is damaged."""
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return points if points.shape == (count, 5, 2) else None


def _store(path: Path, points: np.ndarray) -> None:
    """Write landmarks to the cache, or warn that they cannot be stored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.save(file, points)
    except OSError as error:
        warnings.warn(
            f"{path}: cannot store the facial landmarks ({error}). They are detected again next time.",
            stacklevel=3,
        )
