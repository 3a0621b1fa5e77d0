"""Photographs as they are: faces are detected, cropped for a model, and a missed face is a wrong answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.analysis.metrics.estimate import Estimate, join_notes
from fer.analysis.predictions import Images, Predictions
from fer.bundle.card import CropRule
from fer.core.errors import FerError
from fer.core.image_io import read_image
from fer.core.labels import LabelSpace
from fer.core.threads import available_cores
from fer.data.dataset import EmotionData
from fer.data.image_files import ImageFiles
from fer.data.splits import manifest, one_split
from fer.evaluation.crop import crop_rule
from fer.evaluation.runs import TrainedRun
from fer.faces.base import Detector, Face
from fer.faces.crop import crop_faces
from fer.faces.detectors import WholeImage, choose_detector
from fer.faces.rotation import find_faces

# The answer to a photograph in which no face was detected.
NO_FACE = "no face"
# By how much the logit of `NO_FACE` is above the others, which are equal: an answer without confidence.
_MARGIN = 1e-3


@dataclass(frozen=True)
class Photographs:
    """The faces that were detected in N photographs.

    Attributes:
        detector: Name of the detector.
        counts: int64 ``(N,)``, number of faces in each. The largest is the one that is scored.
        turned: Number of faces that were found after turning the photograph.
        files: str ``(N,)``, the file of each photograph.
        hashes: ``pixels_sha256`` and ``labels_sha256`` of the largest faces, as in a manifest of these crops.
            They tell whether a model was calibrated on them.
    """

    detector: str
    counts: np.ndarray
    turned: int
    files: np.ndarray
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> np.ndarray:
        """Whether no face was detected, bool ``(N,)``."""
        return self.counts == 0

    def facts(self) -> dict[str, Any]:
        """Return the facts for the report, as plain values."""
        return {
            "detector": self.detector,
            "photographs": len(self.counts),
            "missed": int(self.missed.sum()),
            "several": int((self.counts > 1).sum()),
            "turned": self.turned,
            "hashes": dict(self.hashes),
        }


class FaceFinder:
    """Detects the faces in photographs, each once for all models.

    Args:
        detector: As for `fer.faces.detectors.choose_detector`.

    Raises:
        FerError: There is no such detector, or it is ``none``.
    """

    def __init__(self, detector: str = "auto") -> None:
        self._detector: Detector = choose_detector(detector)
        if isinstance(self._detector, WholeImage):
            raise FerError("--detector none: expected a face detector with --faces. Omit --faces.")
        self._faces: dict[str, list[Face]] = {}

    def crop(self, data: EmotionData, run: TrainedRun) -> tuple[EmotionData, Photographs]:
        """Crop the largest face of each photograph as a model needs it.

        Args:
            data: Photographs on disk.
            run: The model: its crop rule, input size and color.

        Returns:
            The data with crops in memory, uint8 ``(N, S, S, C)``; the central square of a photograph without
            a face. And what was detected.

        Raises:
            FerError: The images are not photographs on disk, or one cannot be read.
        """
        if not isinstance(data.images, ImageFiles):
            raise FerError(
                f"{data.source}: expected photographs with --faces, got pixels of faces. Omit --faces."
            )
        files, rule, (size, channels) = (
            data.images.files,
            run.own_crop or crop_rule([run]),
            image_format(run),
        )
        paths = [files.path(row) for row in range(len(data))]
        if not self._faces:
            print(
                f"Detecting the faces in {len(paths):,} photographs with {self._detector.name}.", flush=True
            )
        with ThreadPoolExecutor(available_cores()) as threads:
            results = list(threads.map(lambda path: self._crop(path, rule, size), paths))
        crops, found = [crop for crop, _ in results], [faces for _, faces in results]
        counts = np.array([len(faces) for faces in found], np.int64)
        turned = sum(bool(faces and faces[0].rotation) for faces in found)
        pixels = np.stack(crops) if channels == 3 else to_gray(crops)
        names = np.array([files.name(row) for row in range(len(data))])
        cropped = replace(data, images=pixels)
        hashes = _hashes(cropped.take(counts > 0))
        return cropped, Photographs(self._detector.name, counts, turned, names, hashes)

    def largest(self, path: str) -> tuple[np.ndarray, Face | None]:
        """Return a photograph, uint8 ``(H, W, 3)``, and its largest face."""
        image = read_image(Path(path))
        if path not in self._faces:
            self._faces[path] = self.detect(image)
        return image, next(iter(self._faces[path]), None)

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in an image, the largest first."""
        return find_faces(self._detector, image)

    def _crop(self, path: str, rule: CropRule, size: int) -> tuple[np.ndarray, list[Face]]:
        """Return the crop of the largest face, or the central square, and all faces."""
        image, largest = self.largest(path)
        height, width = image.shape[:2]
        face = largest or Face((0, 0, width, height), 1.0)
        return crop_faces(image, [face], rule, size)[0], self._faces[path]


def _hashes(data: EmotionData) -> dict[str, str]:
    """Return the hashes of faces and labels from their manifest."""
    if not len(data):
        return {}
    described = manifest(one_split(data, "photographs"), hide_test_labels=False)["splits"]["val"]
    return {key: described[key] for key in ("pixels_sha256", "labels_sha256") if key in described}


def image_format(run: TrainedRun) -> tuple[int, int]:
    """Return the side and the channels of the images that a model takes."""
    if run.file_sha256 is not None:
        return run.config.model.image_size, 3
    side, _, channels = run.checkpoint.manifest["image_shape"]
    return int(side), int(channels)


def to_gray(crops: Sequence[np.ndarray]) -> np.ndarray:
    """Return crops, uint8 ``(S, S, 3)`` each, as gray ones ``(N, S, S, 1)``."""
    return np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops])[..., None]


def choose_finder(faces: bool, detector: str | None, data: str | None) -> FaceFinder | None:
    """Return what detects the faces, as the options of a command say; ``None`` if the images are faces.

    Raises:
        FerError: The options do not fit, or there is no such detector.
    """
    if not faces:
        if detector is not None:
            raise FerError(f"--detector {detector}: expected --faces with it, got none. Add --faces.")
        return None
    if data is None:
        raise FerError("--faces: expected --data with photographs, got none. Add --data folder:DIR.")
    return FaceFinder(detector or "auto")


def answer_no_face(predictions: Predictions, photographs: Photographs, rows: np.ndarray) -> Predictions:
    """Return the predictions with `NO_FACE` as the answer to photographs without a detected face.

    It is an emotion of its own in the label space, which no image shows, so it is always wrong; and its
    confidence is that of guessing.

    Args:
        predictions: For the crops.
        photographs: What was detected.
        rows: int64 ``(N,)``, the row in ``photographs`` of each prediction.
    """
    labels, missed = predictions.labels, photographs.missed[rows]
    lowest = np.log(np.finfo(np.float32).tiny)
    logits = np.column_stack([predictions.logits, np.full(len(rows), lowest)])
    probs = np.column_stack([predictions.probs, np.zeros(len(rows))])
    logits[missed], logits[missed, -1] = 0, _MARGIN
    probs[missed] = no_face_probs(len(labels))
    votes = predictions.votes
    return replace(
        predictions,
        labels=LabelSpace(f"{labels.name}-or-{NO_FACE.replace(' ', '-')}", (*labels.names, NO_FACE)),
        logits=logits.astype(np.float32),
        probs=probs.astype(np.float32),
        votes=None if votes is None else np.column_stack([votes, np.zeros(len(rows), votes.dtype)]),
        about=replace(predictions.about, faces=photographs.facts()),
    )


def no_face_probs(num_classes: int) -> np.ndarray:
    """Return the probabilities of a photograph without a face, ``(K + 1,)``: those of guessing `NO_FACE`."""
    powers = np.exp([0.0] * num_classes + [_MARGIN])
    return powers / powers.sum()


def without_no_face(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return scores without those of `NO_FACE`, which is an answer, but no emotion that an image can show."""
    return {
        key: replace(estimate, note=_without_no_face(estimate.note))
        for key, estimate in estimates.items()
        if not key.endswith(f"/{NO_FACE}")
    }


def _without_no_face(note: str) -> str:
    """Return a note without the remark that no image shows `NO_FACE`."""
    parts = [part.replace(f", {NO_FACE}", "") for part in note.split("; ")]
    return join_notes(*(part for part in parts if not part.endswith(f"no image of {NO_FACE}")))


def found_faces(predictions: Predictions, images: Images) -> tuple[Predictions, Images]:
    """Return the predictions and images without photographs whose face was missed."""
    if predictions.about.faces is None:
        return predictions, images
    rows = np.flatnonzero(predictions.preds != predictions.labels.names.index(NO_FACE))
    arrays = {
        name: getattr(predictions, name)[rows] for name in ("index", "target", "logits", "probs", "source")
    }
    votes = None if predictions.votes is None else predictions.votes[rows]
    return replace(predictions, votes=votes, **arrays), images[rows]


def count_missed(predictions: Predictions) -> Counter[str]:
    """Return emotion -> number of its photographs in which no face was detected."""
    names = predictions.labels.names
    missed = predictions.preds == names.index(NO_FACE)
    return Counter(names[target] for target in predictions.target[missed])
