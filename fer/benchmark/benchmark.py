"""Measure models: time of a face alone and in batches, of a frame, start-up, memory, size. All take turns."""

import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from fer.benchmark.accuracy import accuracy_of, measure_accuracy
from fer.benchmark.frames import make_frames, read_photos, time_frames, time_photos
from fer.benchmark.models import BenchmarkModel
from fer.benchmark.startup import measure_startup
from fer.bundle.card import Card
from fer.bundle.providers import choose_device, runtime_name
from fer.core.command_line import package_version
from fer.core.errors import FerError
from fer.core.threads import CoreWait, available_cores
from fer.core.timing import choose_clock, ratio, summarize, time_in_turns
from fer.faces.detectors import choose_detector

BATCH_SIZES = (1, 64)
# Makes the function that computes a network in torch: from card, faces in a batch, threads and device.
TorchNetwork = Callable[[Card, int, int, str], Callable[[], object] | None]


@dataclass(frozen=True)
class Settings:
    """How models are measured.

    Attributes:
        device: One of `fer.core.device.DEVICES`.
        threads: Numbers of CPU threads to measure with; empty: one and all cores.
        detector: Name of the face detector of frames.
        detector_model: Its file, if it needs one.
        photos: Image files from which frames are made, and which are timed as a folder; empty: a frame with a
            synthetic face.
        seconds: Time for each measurement of each model.
        data: ``kind:path`` of labelled images on which accuracy is measured; None: that of the cards.
        torch: Makes the same networks in torch, to be timed as well; None: without.
    """

    device: str = "auto"
    threads: tuple[int, ...] = ()
    detector: str = "auto"
    detector_model: str | None = None
    photos: tuple[Path, ...] = ()
    seconds: float = 1.0
    data: str | None = None
    torch: TorchNetwork | None = None


def benchmark(models: Sequence[BenchmarkModel], settings: Settings) -> dict[str, Any]:
    """Measure models.

    Args:
        models: One or more.
        settings: How.

    Returns:
        JSON values: ``machine``; ``models``, one entry for each, with ``file_bytes``, ``precision``,
        ``image_size``, ``accuracy`` (null if unknown), ``startup`` (``seconds``,
        ``peak_megabytes``), ``frame`` (see `time_frames`), of bundles with photographs ``photos`` (see
        `time_photos`), and ``calls``, one entry for each number of threads and batch size: ``milliseconds``
        per face with the quartiles ``low`` and ``high``, ``faces_per_second``, ``times_as_long`` as the first
        model and, with torch, ``torch_times_as_long``; and ``waited``, the share of time for which threads
        waited for a core because other processes used it (null where it is unknown).

    Raises:
        FerError: A model, the device or the detector cannot be used.
    """
    device = choose_device(settings.device)
    threads = settings.threads or tuple(dict.fromkeys((1, available_cores())))
    photos = read_photos(settings.photos)
    detector = choose_detector(settings.detector, settings.detector_model)
    cards = [model.load(1, device).card for model in models]
    if settings.torch and not any(settings.torch(card, 1, 1, device) for card in cards):
        raise FerError(
            "--torch: expected a model whose card has its recipe, got only foreign files or ensembles. Omit "
            "--torch."
        )
    entries = [_describe(model, card) for model, card in zip(models, cards, strict=True)]
    if settings.data is not None:
        for entry, accuracy in zip(entries, measure_accuracy(models, settings.data, device), strict=True):
            entry["accuracy"] = accuracy
    # Before anything is timed: the child processes would otherwise compete with threads of this one.
    for model, entry in zip(models, entries, strict=True):
        entry["startup"] = measure_startup(model, device, settings.detector, settings.detector_model)
    wait = CoreWait()
    for number in threads:
        for size in BATCH_SIZES:
            calls = _time_calls(models, cards, settings, device, number, size)
            for entry, call in zip(entries, calls, strict=True):
                entry["calls"].append(call)
    frames = make_frames(photos)
    classifiers = [model.load(1, device) for model in models]
    timed = time_frames(classifiers, detector, frames, settings.seconds, choose_clock(device, 1))
    for model, entry, frame in zip(models, entries, timed, strict=True):
        entry["frame"] = frame
        if photos and model.bundle is not None:
            paths = settings.photos[: len(photos)]
            entry["photos"] = time_photos(model, detector, paths, photos, device, threads[-1])
    return {"machine": _machine(device), "models": entries, "waited": wait.share()}


def _machine(device: str) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "runtime": runtime_name(device),
        "versions": {
            "fer-lightning": package_version(),
            "python": platform.python_version(),
            "onnxruntime": ort.__version__,
            "opencv": cv2.__version__,
        },
    }


def _processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match.group(1).strip() if match else platform.machine()


def _describe(model: BenchmarkModel, card: Card) -> dict[str, Any]:
    files = [model.path, *model.path.parent.glob(f"{model.path.name}.data")]
    return {
        "name": model.name,
        "kind": "bundle" if model.bundle is not None else "onnx",
        "file": model.path.name,
        "file_bytes": sum(file.stat().st_size for file in files),
        "precision": card.precision,
        "parameters": card.model["parameters"] or None,
        "image_size": card.image_size,
        "accuracy": accuracy_of(card),
        "calls": [],
    }


def _time_calls(
    models: Sequence[BenchmarkModel],
    cards: Sequence[Card],
    settings: Settings,
    device: str,
    threads: int,
    size: int,
) -> list[dict[str, Any]]:
    """Time batches of random faces with one number of threads, and the networks in torch."""
    calls = [_call(model.load(threads, device), size) for model in models]
    networks = [settings.torch(card, size, threads, device) if settings.torch else None for card in cards]
    clock = choose_clock(device, threads)
    times = time_in_turns([*calls, *filter(None, networks)], settings.seconds, clock=clock)
    eager = iter(times.T[len(calls) :])
    results = []
    for own, network in zip(times.T, networks, strict=False):
        per_face = {name: 1e3 * value / size for name, value in summarize(own).items()}
        entry = {
            "threads": threads,
            "clock": "cpu" if clock is time.process_time else "wall",
            "batch_size": size,
            "milliseconds": per_face["median"],
            "low": per_face["low"],
            "high": per_face["high"],
            "faces_per_second": 1e3 / per_face["median"],
            "times_as_long": ratio(own, times[:, 0]),
        }
        if network is not None:
            entry["torch_times_as_long"] = ratio(next(eager), own)
        results.append(entry)
    return results


def _call(classifier: Any, size: int) -> Callable[[], object]:
    side = classifier.card.image_size
    faces = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8)
    return lambda: classifier(faces)
