"""Time to find and classify the faces of frames of 640 x 480 pixels, and of a folder of photographs."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.benchmark.models import BenchmarkModel, Classifier
from fer.core.image_io import read_image
from fer.core.timing import Clock, ratio, summarize, time_in_turns
from fer.data.synthetic.parameters import sample_parameters
from fer.data.synthetic.render import render_face
from fer.faces.base import Detector
from fer.faces.crop import crop_faces
from fer.predict.predictor import Predictor

WIDTH, HEIGHT = 640, 480
# More frames take longer without another result.
_MAX_FRAMES = 20
_BACKGROUND, _FACE_SIDE = 128, 200
# Photographs in memory.
_MAX_BYTES = 2_000_000_000
# A pass over a folder takes seconds.
_FOLDER_ROUNDS = 5


def read_photos(paths: Sequence[Path]) -> list[np.ndarray]:
    """Return photographs, uint8 ``(H, W, 3)`` in RGB: the first ones, as many as may be in memory.

    Raises:
        FerError: One cannot be read.
    """
    photos, size = list[np.ndarray](), 0
    for path in paths:
        photos.append(read_image(path))
        size += photos[-1].nbytes
        if size > _MAX_BYTES:
            break
    return photos


def make_frames(photos: Sequence[np.ndarray] = ()) -> list[np.ndarray]:
    """Return frames, uint8 ``(480, 640, 3)`` in RGB: one for each photograph, in a corner; none is enlarged.

    Args:
        photos: From `read_photos`; empty: a frame with a synthetic face.
    """
    if not photos:
        parameters = sample_parameters(0, np.random.default_rng(0), 0.0)
        return [_on_frame(render_face(parameters, _FACE_SIDE)[0], WIDTH // 3, HEIGHT // 4)]
    return [_on_frame(photo) for photo in photos[:_MAX_FRAMES]]


def _on_frame(image: np.ndarray, left: int = 0, top: int = 0) -> np.ndarray:
    frame = np.full((HEIGHT, WIDTH, 3), _BACKGROUND, np.uint8)
    scale = min(1, HEIGHT / image.shape[0], WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    return frame


def predict_frame(frame: np.ndarray, detector: Detector, classifier: Classifier) -> int:
    """Find and classify the faces of a frame; return how many there are."""
    faces = detector(frame)
    if faces:
        classifier(crop_faces(frame, faces, classifier.card.crop, classifier.card.image_size))
    return len(faces)


def time_frames(
    classifiers: Sequence[Classifier],
    detector: Detector,
    frames: Sequence[np.ndarray],
    seconds: float,
    clock: Clock,
) -> list[dict[str, Any]]:
    """Time frames on one CPU thread: find the faces, cut them out, classify them.

    Args:
        classifiers: The models, with one thread each.
        detector: The face detector.
        frames: From `make_frames`.
        seconds: Time for each model.
        clock: From `choose_clock`.

    Returns:
        JSON values for each model: ``detector``, ``size``, ``faces_per_frame``, ``milliseconds``,
        ``detector_milliseconds`` and ``frames_per_second``.
    """
    number = sum(len(detector(frame)) for frame in frames)
    functions: list[Callable[[], object]] = [lambda: [detector(frame) for frame in frames]]
    functions += [_on_frames(frames, detector, classifier) for classifier in classifiers]
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = time_in_turns(functions, seconds, clock=clock)
    finally:
        cv2.setNumThreads(before)
    alone, *others = (summarize(column)["median"] / len(frames) for column in times.T)
    about = {"detector": detector.name, "size": [WIDTH, HEIGHT], "faces_per_frame": number / len(frames)}
    return [
        {
            **about,
            "milliseconds": 1e3 * taken,
            "detector_milliseconds": 1e3 * alone,
            "frames_per_second": 1 / taken,
        }
        for taken in others
    ]


def _on_frames(
    frames: Sequence[np.ndarray], detector: Detector, classifier: Classifier
) -> Callable[[], object]:
    return lambda: [predict_frame(frame, detector, classifier) for frame in frames]


def time_photos(
    model: BenchmarkModel,
    detector: Detector,
    paths: Sequence[Path],
    photos: Sequence[np.ndarray],
    device: str,
    threads: int,
) -> dict[str, float]:
    """Time `Predictor.predict_many` on files: read, find and classify faces, in several threads.

    Args:
        model: A bundle.
        detector: The face detector.
        paths: The files.
        photos: Their content, from `read_photos`.
        device: From `choose_device`.
        threads: Number of threads.

    Returns:
        JSON values: ``threads``, ``photos_per_second``, and ``times_as_long`` as the detector alone with as
        many threads, on images that are in memory.
    """
    predictor = Predictor(model.bundle, detector, threads=threads, device=device)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            functions: list[Callable[[], object]] = [
                lambda: list(pool.map(predictor.detect, photos)),
                lambda: list(predictor.predict_many(paths)),
            ]
            alone, everything = time_in_turns(functions, 1.0, _FOLDER_ROUNDS).T
    finally:
        cv2.setNumThreads(before)
    return {
        "threads": threads,
        "photos_per_second": len(photos) / summarize(everything)["median"],
        "times_as_long": ratio(everything, alone),
    }
