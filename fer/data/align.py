"""Align faces by their landmarks: each is turned upright, scaled and moved by a similarity transform.

Landmarks come from a file, or are found once and kept in the cache folder. The images change when a data set
is read, so that training, validation and evaluation see the same ones. A face without landmarks stays as it
is.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.core.landmarks import ALIGNED, NUM_POINTS, similarity_transforms
from fer.data.cache import cached_array
from fer.data.config import YUNET
from fer.data.dataset import EmotionData
from fer.data.landmarks import KEY, read_landmarks

# Found landmarks that would enlarge or reduce a face more than this are those of another face, or wrong. On
# FER2013 that is one face in a hundred.
_MAX_SCALE = 1.7
# Version of the stored landmarks. Increase it to find them again.
_VERSION = 1


def align_faces(data: EmotionData, source: str | None, names: Sequence[str] | None = None) -> EmotionData:
    """Return data whose faces are aligned, with their landmarks in the aligned images.

    Args:
        data: Images in memory.
        source: ``yunet``, a file as `fer.data.landmarks.read_landmarks` reads it, or None: nothing changes.
        names: Paths of the images within the folder of the data set; None if they are in one file.

    Raises:
        FerError: The images stay on disk, the file or the detector is missing, or the file belongs to other
            images.
    """
    if source is None:
        return data
    if not isinstance(data.images, np.ndarray):
        raise FerError(
            f"{KEY}: expected a data set in memory, got {len(data):,} image files that stay on disk. Raise "
            f"datamodule.memory_gb, or remove {KEY}."
        )
    is_file = source != YUNET
    points = read_landmarks(source, len(data), names) if is_file else _found_by_yunet(data.images)
    matrices = similarity_transforms(points, np.array(ALIGNED))
    sizes = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    # False for NaN.
    is_possible = (sizes > 1 / _MAX_SCALE) & (sizes < _MAX_SCALE)
    matrices[~is_possible] = np.nan
    landmarks = points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    images = _warp(data.images, matrices, np.flatnonzero(is_possible))
    return replace(data, images=images, landmarks=landmarks.astype(np.float32))


def _warp(images: np.ndarray, matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return a copy of images ``(N, H, W, C)``, of which some are warped; the border is repeated beyond it.

    Args:
        images: uint8.
        matrices: Maps of fractions of an image, ``(N, 2, 3)``.
        rows: Which images to warp.
    """
    size, warped = (images.shape[2], images.shape[1]), np.array(images)
    # In pixels, which OpenCV measures from their centres.
    pixels = matrices * np.array(size)[:, None] / (*size, 1)
    pixels[:, :, 2] += pixels[:, :, :2].sum(2) / 2 - 0.5
    for row in rows:
        face = cv2.warpAffine(
            images[row], pixels[row], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        warped[row] = face.reshape(warped[row].shape)
    return warped


def _found_by_yunet(images: np.ndarray) -> np.ndarray:
    """Return the landmarks that YuNet finds, float32 ``(N, 5, 2)``, from the cache if it has them.

    The entry is named by the content of the images and of the detector, so that it serves every copy of a
    data set.

    Raises:
        FerError: YuNet's file is missing and cannot be downloaded.
    """
    # By name, because the package of detectors is above this one.
    package: Any = import_module("fer.faces.landmarks")
    detector = package.landmark_detector(KEY)
    checksum = hashlib.sha256(detector.model_file.read_bytes())
    checksum.update(json.dumps([_VERSION, images.shape]).encode())
    checksum.update(np.ascontiguousarray(images).data)
    name = f"landmarks-{checksum.hexdigest()[:32]}.npy"
    shape = (len(images), NUM_POINTS, 2)
    return cached_array(name, shape, lambda: _find(detector, images, package.find_landmarks), KEY)


def _find(detector: Any, images: np.ndarray, find: Callable[..., Any]) -> np.ndarray:
    """Return the landmarks of images, float32 ``(N, 5, 2)``, NaN for a face in which none are found."""
    points = np.full((len(images), NUM_POINTS, 2), np.nan, np.float32)
    for row in _with_bar(len(images)):
        found = find(detector, images[row])
        points[row] = np.nan if found is None else found
    return points


def _with_bar(count: int) -> Iterable[int]:
    """Yield 0 to count - 1, with a progress bar on a terminal and one line otherwise."""
    # Imported here, because only the search needs it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    print(
        f"Finding landmarks of {count:,} faces. The next run reads them from the cache.",
        flush=True,
    )
    if not console.is_terminal:
        yield from range(count)
        return
    columns = TextColumn("landmarks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        yield from progress.track(range(count))
