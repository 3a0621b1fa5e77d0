"""Emotions of the faces in pictures: `Predictor` answers on one picture or many, without torch.

>>> Predictor()("photo.jpg")
[<happy 93 %, face of 120 x 120 pixels at (64, 40)>]
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fer.bundle.card import Card
from fer.bundle.files import Bundle
from fer.bundle.find import find_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.errors import FerError
from fer.faces.choose import choose_detector
from fer.faces.crop import cut_faces
from fer.faces.face import Detector, Face
from fer.picture import open_picture
from fer.prediction import Prediction

Source = str | Path | bytes | np.ndarray | Image.Image


@dataclass(frozen=True)
class Answer:
    """The answer on one picture of many.

    Attributes:
        size: Width and height of the picture in pixels; None where it could not be read.
        predictions: Of its faces, the largest first.
        error: Why it could not be read.
    """

    size: tuple[int, int] | None
    predictions: list[Prediction]
    error: FerError | None = None


@dataclass(frozen=True)
class _Found:
    """A picture whose faces are cut out, so that its pixels can go."""

    size: tuple[int, int] | None
    faces: list[Face]
    cuts: np.ndarray
    error: FerError | None = None


class Predictor:
    """Finds the faces of a picture and says what each expresses. Safe to use from several threads.

    Args:
        model: A bundle, its folder, or its name; None takes the model that comes with the package.
        detector: ``"auto"``, ``"yunet"``, ``"haar"``, ``"mtcnn"``, ``"none"`` (a picture is a face already),
            or a detector of one's own.
        detector_model: File of the detector, where it needs one.
        threads: Processor cores for the model; None takes all. Detectors and resizing take as many as OpenCV
            does in the whole process (``cv2.setNumThreads``).

    Raises:
        FerError: There is no such model or detector, or its files do not fit.
    """

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        detector: str | Detector = "auto",
        detector_model: str | Path | None = None,
        threads: int | None = None,
    ) -> None:
        bundle = find_bundle(model)
        self.card: Card = bundle.card
        self.threads = threads or cores()
        self.classifier = OnnxClassifier(bundle, threads)
        self.detector: Detector = (
            choose_detector(detector, detector_model) if isinstance(detector, str) else detector
        )

    def __call__(self, picture: Source) -> list[Prediction]:
        """Return the answers on a picture's faces, the largest first; none where it has no face.

        Args:
            picture: A path, the bytes of a picture file, an RGB array, or a Pillow image.

        Raises:
            FerError: The picture cannot be read.
        """
        pixels = open_picture(picture)
        return self.classify(pixels, self.find(pixels))

    def find(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of an RGB picture, uint8 ``(H, W, 3)``, the largest first."""
        return self.detector(picture)

    def classify(self, picture: np.ndarray, faces: Sequence[Face]) -> list[Prediction]:
        """Return the answers on these faces of an RGB picture, uint8 ``(H, W, 3)``, in their order."""
        return self.judge(faces, self.cut(picture, faces))

    def cut(self, picture: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Return faces as the model wants to see them, uint8 ``(N, S, S, 3)`` RGB."""
        return cut_faces(picture, list(faces), self.card.crop, self.card.image_size)

    def judge(self, faces: Sequence[Face], cuts: np.ndarray) -> list[Prediction]:
        """Return the answers on faces that `cut` has cut out, of one picture or several."""
        return [self._prediction(face, row) for face, row in zip(faces, self.classifier(cuts), strict=True)]

    def predict_many(
        self, pictures: Iterable[Source], batch_size: int = 32
    ) -> Iterator[list[Prediction] | FerError]:
        """Answer on many pictures, in their order.

        A picture that cannot be read does not stop the others: its `FerError` comes in the place of its
        answers. Faces are found in several threads and judged together. Memory does not grow with the number
        of pictures.

        Args:
            pictures: Paths, bytes, RGB arrays or Pillow images; taken as they are needed.
            batch_size: Pictures whose faces are judged together; twice as many are read ahead.

        Yields:
            For each picture the answers on its faces, or why it could not be read.
        """
        for answer in self.answers(pictures, batch_size):
            yield answer.error or answer.predictions

    def answers(self, pictures: Iterable[Source], batch_size: int = 32) -> Iterator[Answer]:
        """Answer on many pictures as `predict_many` does, with the size of each."""
        batch: list[_Found] = []
        for found in self._find_ahead(pictures, 2 * batch_size):
            batch.append(found)
            if len(batch) == batch_size:
                yield from self._judge_batch(batch)
                batch = []
        yield from self._judge_batch(batch)

    def _find_ahead(self, pictures: Iterable[Source], ahead: int) -> Iterator[_Found]:
        """Cut the faces out of pictures in threads, at most ``ahead`` before they are asked for."""
        pending: deque[Future[_Found]] = deque()
        pool = ThreadPoolExecutor(self.threads, "faces")
        try:
            for picture in pictures:
                pending.append(pool.submit(self._open_and_find, picture))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # also when nobody wants the rest
            pool.shutdown(cancel_futures=True)

    def _open_and_find(self, source: Source) -> _Found:
        try:
            picture = open_picture(source)
            faces = self.find(picture)
            return _Found((picture.shape[1], picture.shape[0]), faces, self.cut(picture, faces))
        except FerError as error:
            side = self.card.image_size
            return _Found(None, [], np.empty((0, side, side, 3), np.uint8), error)

    def _judge_batch(self, batch: Sequence[_Found]) -> Iterator[Answer]:
        if not batch:
            return
        faces = [face for found in batch for face in found.faces]
        told = iter(self.judge(faces, np.concatenate([found.cuts for found in batch])))
        for found in batch:
            yield Answer(found.size, [next(told) for _ in found.faces], found.error)

    def _prediction(self, face: Face, row: np.ndarray) -> Prediction:
        probabilities = {name: float(value) for name, value in zip(self.card.labels.names, row, strict=True)}
        label = max(probabilities, key=lambda name: probabilities[name])
        confidence, least = probabilities[label], self.card.abstain_below
        return Prediction(face, probabilities, label, confidence, least is not None and confidence < least)


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
