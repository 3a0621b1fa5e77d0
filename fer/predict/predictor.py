"""`Predictor` detects the faces in images and predicts the emotion of each. No torch.

>>> Predictor()("photo.jpg")
[<happy 93 %, face of 120 x 120 pixels at (64, 40)>]
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fer.bundle.card import Card, model_name
from fer.bundle.files import Bundle
from fer.bundle.registry import find_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.image_io import ImageSource, read_image
from fer.core.threads import available_cores
from fer.faces.base import Detector, Face, in_reading_order
from fer.faces.crop import crop_faces
from fer.faces.detectors import choose_detector
from fer.faces.rotation import find_faces

# Shorter side of a face box in pixels below which most of the model's input is interpolated: half of
# FER2013's 48.
TINY_FACE = 24
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The prediction for one face.

    Attributes:
        face: Position of the face in the image.
        probabilities: Probability of each emotion, in the order of the model's labels; they sum to 1.
        label: The emotion with the highest probability.
        confidence: Probability of ``label``.
        uncertain: Whether ``confidence`` is below the threshold, by default the card's.
    """

    face: Face
    probabilities: dict[str, float]
    label: str
    confidence: float
    uncertain: bool

    @property
    def tiny(self) -> bool:
        """Return whether the face is smaller than `TINY_FACE`, so that the prediction is unreliable."""
        return min(self.face.box[2:]) < TINY_FACE

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: lengths in pixels, rounded to 0.01; probabilities rounded to six digits."""
        points = self.face.points
        return {
            "box": [round(float(value), 2) for value in self.face.box],
            "rotation": self.face.rotation,
            "score": round(float(self.face.score), 4),
            "points": None if points is None else np.asarray(points, float).round(2).tolist(),
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "uncertain": self.uncertain,
            "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
        }

    def __repr__(self) -> str:
        """Return one line, e.g. ``<happy 93 %, face of 120 x 120 pixels at (64, 40)>``."""
        left, top, width, height = (round(value) for value in self.face.box)
        uncertain = ", uncertain" if self.uncertain else ""
        position = f"face of {width} x {height} pixels at ({left}, {top})"
        turned = f", {turned_note(self.face)}" if self.face.rotation else ""
        return f"<{self.label} {100 * self.confidence:.0f} %{uncertain}, {position}{turned}>"


def turned_note(face: Face) -> str:
    """Return how a face was found that is not upright."""
    return f"found after turning the image by {face.rotation} degrees"


@dataclass(frozen=True)
class ImageResult:
    """The result for one image.

    Attributes:
        size: Width and height of the image in pixels; None if it could not be read.
        predictions: One per face, in the order of `fer.faces.base.in_reading_order`.
        error: Why the image could not be read; None if it could.
    """

    size: tuple[int, int] | None
    predictions: list[Prediction]
    error: FerError | None = None


@dataclass(frozen=True)
class _DetectedFaces:
    """The cropped faces of an image, so that its pixels can be freed before classification."""

    size: tuple[int, int] | None
    faces: list[Face]
    crops: np.ndarray
    error: FerError | None = None


class Predictor:
    """Detects the faces in images and predicts their emotions. Thread-safe.

    It can be pickled, for other processes: as the folder of its bundle, its detector and its options. Each
    process loads the model again.

    Args:
        model: A bundle, its folder, its name, or ``hf:owner/name[@revision]``; None: the model that comes
            with the package.
        detector: ``"auto"``, ``"yunet"``, ``"haar"``, ``"mtcnn"``, ``"none"`` (each image is a cropped face),
            or a custom detector.
        detector_model: Model file of the detector, if it needs one.
        threads: CPU threads of the model; None: all cores. Face detection and resizing use OpenCV's threads,
            which are set for the whole process by ``cv2.setNumThreads``.
        threshold: A prediction with a lower confidence is uncertain, 0 to 1; 0: none is. None: that of the
            model's card.
        device: Where the model runs: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"openvino"`` or ``"coreml"``. None:
            ``"auto"``. Face detection runs on the CPU.

    Attributes:
        card: The model's card.
        model_name: ``NAME``, ``NAME:N``, or ``hf:owner/name@commit`` for a model of the Hub.
        uncertain_below: The threshold in use; None if there is none.

    Raises:
        FerError: There is no such model, detector or device, its files are invalid, or the threshold is not
            between 0 and 1.
    """

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        detector: str | Detector = "auto",
        detector_model: str | Path | None = None,
        threads: int | None = None,
        threshold: float | None = None,
        device: str | None = None,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise FerError(f"threshold: expected a confidence between 0 and 1, got {threshold}. Correct it.")
        bundle = find_bundle(model)
        self.card: Card = bundle.card
        self.model_name = bundle.origin or model_name(bundle.card)
        self.uncertain_below = self.card.uncertain_below if threshold is None else threshold
        self.threads = threads or available_cores()
        self.classifier = OnnxClassifier(bundle, threads, device)
        self.detector: Detector = (
            choose_detector(detector, detector_model) if isinstance(detector, str) else detector
        )

    def __call__(self, image: ImageSource) -> list[Prediction]:
        """Return the predictions for all faces of an image, by rows from left to right; empty without a face.

        Args:
            image: A path, the bytes of an image file, an RGB array, or a Pillow image.

        Raises:
            FerError: The image cannot be read.
        """
        pixels = read_image(image)
        return self.classify(pixels, in_reading_order(self.find_faces(pixels)))

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image, uint8 ``(H, W, 3)``, largest first."""
        return self.detector(image)

    def find_faces(self, image: np.ndarray) -> list[Face]:
        """Return the faces of an RGB image as `detect` does, also sideways and upside-down ones.

        See `fer.faces.rotation.find_faces`. Frames of videos and cameras are not turned.
        """
        return find_faces(self.detector, image)

    def classify(self, image: np.ndarray, faces: Sequence[Face]) -> list[Prediction]:
        """Return the predictions for these faces of an RGB image, uint8 ``(H, W, 3)``, in their order."""
        return self.classify_crops(faces, self.crop(image, faces))

    def crop(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Return the faces cropped by the model's crop rule, uint8 ``(N, S, S, 3)`` RGB."""
        return crop_faces(image, list(faces), self.card.crop, self.card.image_size)

    def classify_crops(self, faces: Sequence[Face], crops: np.ndarray) -> list[Prediction]:
        """Return the predictions for faces that `crop` has cropped, from one image or several."""
        probs = self.classifier(crops)
        names, threshold = self.card.labels.names, self.uncertain_below
        return [make_prediction(face, names, row, threshold) for face, row in zip(faces, probs, strict=True)]

    def predict_many(
        self, images: Iterable[ImageSource], batch_size: int = 32
    ) -> Iterator[list[Prediction] | FerError]:
        """Yield the predictions for many images, in their order.

        An unreadable image does not stop the others: its result is the `FerError`. Faces are detected in
        several threads and classified in batches. Memory does not grow with the number of images.

        Args:
            images: Paths, bytes, RGB arrays or Pillow images; consumed lazily.
            batch_size: Images whose faces are classified together; up to twice as many are read ahead.

        Yields:
            For each image the predictions for its faces, or why it could not be read.
        """
        for result in self.iter_results(images, batch_size):
            yield result.error or result.predictions

    def iter_results(self, images: Iterable[ImageSource], batch_size: int = 32) -> Iterator[ImageResult]:
        """Yield the results for many images, as `predict_many` does, with the size of each image."""
        batch: list[_DetectedFaces] = []
        for detected in map_in_threads(self._read_and_detect, images, self.threads, 2 * batch_size):
            batch.append(detected)
            if len(batch) == batch_size:
                yield from self._classify_batch(batch)
                batch = []
        yield from self._classify_batch(batch)

    def _read_and_detect(self, source: ImageSource) -> _DetectedFaces:
        try:
            image = read_image(source)
            faces = in_reading_order(self.find_faces(image))
            return _DetectedFaces((image.shape[1], image.shape[0]), faces, self.crop(image, faces))
        except FerError as error:
            side = self.card.image_size
            return _DetectedFaces(None, [], np.empty((0, side, side, 3), np.uint8), error)

    def _classify_batch(self, batch: Sequence[_DetectedFaces]) -> Iterator[ImageResult]:
        if not batch:
            return
        faces = [face for detected in batch for face in detected.faces]
        predictions = iter(self.classify_crops(faces, np.concatenate([detected.crops for detected in batch])))
        for detected in batch:
            yield ImageResult(detected.size, [next(predictions) for _ in detected.faces], detected.error)


def make_prediction(
    face: Face, names: Iterable[str], probs: np.ndarray, abstain_below: float | None
) -> Prediction:
    """Return the prediction for a face.

    Args:
        face: Its position.
        names: The ``K`` emotions.
        probs: Their probabilities, float ``(K,)``.
        abstain_below: The prediction is uncertain below this confidence; None: never.
    """
    probabilities = dict(zip(names, probs.tolist(), strict=True))
    label = max(probabilities, key=probabilities.__getitem__)
    confidence = probabilities[label]
    return Prediction(face, probabilities, label, confidence, _is_below(confidence, abstain_below))


def with_threshold(predictions: Iterable[Prediction], threshold: float | None) -> list[Prediction]:
    """Return the predictions, uncertain below another confidence (None: none is), without running a model."""
    return [replace(old, uncertain=_is_below(old.confidence, threshold)) for old in predictions]


def _is_below(confidence: float, threshold: float | None) -> bool:
    return threshold is not None and confidence < threshold


def map_in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, ahead: int
) -> Generator[_Result]:
    """Yield the result for each item in order, computed in threads, ``ahead`` items before it is consumed."""
    pending: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Also if the caller stops early.
        pool.shutdown(cancel_futures=True)
