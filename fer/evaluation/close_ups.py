"""Corrupted photographs: the camera's fault comes first, then the detector has to find the face.

A photograph is cut to a close-up, twice as wide as its largest face, so that a blur or a lower resolution
takes the same details from a face however large it is in the photograph.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer.core.threads import available_cores
from fer.evaluation.crop import crop_rule
from fer.evaluation.faces import FaceFinder, image_format, no_face_probs, to_gray
from fer.evaluation.runs import TrainedRun
from fer.evaluation.score import predict_images
from fer.faces.base import Face
from fer.faces.crop import crop_faces

# Fraction of the side of a close-up that the face takes.
FACE = 0.5


class CloseUps:
    """Close-ups of photographs, read on access.

    Args:
        finder: What has detected the faces.
        paths: The files.
    """

    def __init__(self, finder: FaceFinder, paths: Sequence[str]) -> None:
        self._finder, self._paths = finder, paths

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self._paths)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return close-ups, an array ``(n,)`` of uint8 ``(H, W, 3)``; without a face the photograph."""
        close_ups = np.empty(len(rows), object)
        for place, row in enumerate(rows):
            image, face = self._finder.largest(self._paths[row])
            close_ups[place] = image if face is None else _close_up(image, face)
        return close_ups


def _close_up(image: np.ndarray, face: Face) -> np.ndarray:
    """Return the square around a face; pixels beyond the photograph repeat its border."""
    left, top, width, height = face.box
    half = max(1, round(max(width, height) / FACE / 2))
    x, y = round(left + width / 2), round(top + height / 2)
    rows, columns = image.shape[:2]
    above, left_of = max(0, half - y), max(0, half - x)
    below, right_of = max(0, y + half - rows), max(0, x + half - columns)
    padded = np.pad(image, ((above, below), (left_of, right_of), (0, 0)), mode="edge")
    y, x = y + above, x + left_of
    return np.ascontiguousarray(padded[y - half : y + half, x - half : x + half])


def predict_close_ups(runs: Sequence[TrainedRun], finder: FaceFinder, images: np.ndarray) -> np.ndarray:
    """Return the mean of the probabilities of runs for the largest face of each image.

    Args:
        runs: One run, or the members of an ensemble; they have the same labels.
        finder: Detects the faces.
        images: As `CloseUps` returns them.

    Returns:
        float32 ``(n, K + 1)``: the last column is that of no face, see `fer.evaluation.faces.answer_no_face`.
    """
    with ThreadPoolExecutor(available_cores()) as threads:
        found = list(threads.map(finder.detect, images))
    seen = np.array([bool(faces) for faces in found])
    classes = len(runs[0].checkpoint.labels)
    probs = np.zeros((len(images), classes + 1), np.float32)
    probs[~seen] = no_face_probs(classes)
    if seen.any():
        faces = [(image, faces[0]) for image, faces in zip(images, found, strict=True) if faces]
        members = [predict_images([run], _crops(run, faces)) for run in runs]
        probs[seen, :-1] = np.mean(members, axis=0)
    return probs


def _crops(run: TrainedRun, faces: Sequence[tuple[np.ndarray, Face]]) -> np.ndarray:
    rule, (size, channels) = run.own_crop or crop_rule([run]), image_format(run)
    crops = [crop_faces(image, [face], rule, size)[0] for image, face in faces]
    return np.stack(crops) if channels == 3 else to_gray(crops)
