"""Benchmark of prediction: time and memory on photographs, compared with goals.

    python scripts/benchmark_inference.py PHOTOS [--model BUNDLE] [--run RUN] [--detector-model FILE]

All times are medians. Compared functions take turns in the same process, because times of another hour or
machine are not comparable. With --run, the network of a training run is timed in torch too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from fer.bundle.runtime import OnnxClassifier
from fer.core.image_io import read_image
from fer.predict.predictor import Predictor
from fer.predict.sources import list_image_files

# A predictor in a process without torch, which prints its peak memory.
_MEMORY = """import resource, sys
from fer import Predictor
predictor = Predictor({model!r}, {detector!r}, {file!r})
assert len([predictor(path) for path in sys.argv[1:]]) and "torch" not in sys.modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, KiB on Linux
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs with faces")
    parser.add_argument("--model", help="bundle (default: the model of the package)")
    parser.add_argument("--run", type=Path, help="training run of the same network, to time torch")
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--detector-model")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=int, default=1000, help="number of photographs (copies)")
    request = parser.parse_args(arguments)
    predictor = Predictor(request.model, request.detector, request.detector_model)
    files = list_image_files(request.photos)
    print(f"model {predictor.card.name} ({predictor.card.precision}), detector {predictor.detector.name}, "
          f"{len(files)} photographs, {predictor.threads} cores, {request.turns} turns")  # fmt: skip
    print(f"{'':<46}{'measured':>12}{'goal':>12}")
    # Measured first, because a child process inherits the peak memory of its parent, which torch would raise.
    measure_memory(files, request)
    time_model(predictor, request)
    time_frame(predictor, files, request.turns)
    time_command(files, request)
    time_folder(predictor, files, request)


def print_row(
    name: str, value: float, unit: str, goal: float | None = None, more_is_better: bool = False
) -> None:
    bound = "" if goal is None else f"{'>=' if more_is_better else '<='} {goal:g}"
    missed = goal is not None and (value < goal if more_is_better else value > goal)
    print(f"{name:<46}{value:>12,.2f}{bound:>12}  {unit}{'  MISSED' if missed else ''}", flush=True)


def seconds(function: Callable[[], object], repeats: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def time_in_turns(functions: dict[str, Callable[[], object]], turns: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of each function; they take turns, after one untimed turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            taken = seconds(function, repeats)
            if turn:
                times[name].append(taken)
    return {name: median(taken) for name, taken in times.items()}


def time_model(predictor: Predictor, request: argparse.Namespace) -> None:
    """Time the model alone: one face on one core, a batch of 64 on two cores."""
    from fer.bundle.registry import find_bundle

    bundle, side = find_bundle(request.model), predictor.card.image_size
    faces = np.random.default_rng(0).integers(0, 256, (64, side, side, 3), dtype=np.uint8)
    for batch, threads, repeats in ((1, 1, 200), (64, 2, 10)):
        classifier, part = OnnxClassifier(bundle, threads), faces[:batch]
        functions: dict[str, Callable[[], object]] = {"ours": lambda model=classifier, part=part: model(part)}
        if request.run:
            functions["torch"] = torch_function(request.run, batch, threads)
        times = time_in_turns(functions, request.turns, repeats)
        if batch == 1:
            print_row("model, one face at a time, one core", 1000 * times["ours"], "ms per face", 1.5)
        else:
            print_row("model, batches of 64 faces, two cores", 64 / times["ours"], "faces/s", 1500, True)
        if request.run:
            print_row("  torch eager, the same network", times["torch"] / times["ours"], "times as long")


def torch_function(run: Path, batch: int, threads: int) -> Callable[[], object]:
    """Return a function that calls the run's network in torch on a random float batch."""
    import torch

    from fer.models.checkpoint import find_checkpoint, load_checkpoint

    checkpoint = load_checkpoint(find_checkpoint(run) or run)
    side, weight = checkpoint.network.image_size, next(checkpoint.model.parameters())
    image = torch.randn(batch, weight.shape[1], side, side)

    @torch.inference_mode()
    def function() -> object:
        torch.set_num_threads(threads)
        return checkpoint.model(image)

    return function


def time_frame(predictor: Predictor, files: Sequence[Path], turns: int) -> None:
    """Time detector and classifier on 640 x 480 frames, each with a photograph."""
    frames = [frame_of(read_image(file)) for file in files[:20]]
    functions = {
        "all": lambda: [predictor(frame) for frame in frames],
        "detect": lambda: [predictor.detect(frame) for frame in frames],
    }
    times = time_in_turns(functions, turns, 1)
    print_row("a 640 x 480 frame, detector and model", 1000 * times["all"] / len(frames), "ms", 15)
    print_row("  of which the detector", 1000 * times["detect"] / len(frames), "ms")


def frame_of(photo: np.ndarray) -> np.ndarray:
    frame, scale = np.full((480, 640, 3), 128, np.uint8), min(1, 480 / photo.shape[0], 640 / photo.shape[1])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame[: small.shape[0], : small.shape[1]] = small
    return frame


def command(request: argparse.Namespace, *arguments: str) -> list[str]:
    options = ["--detector", request.detector]
    options += ["--model", request.model] if request.model else []
    options += ["--detector-model", request.detector_model] if request.detector_model else []
    return [sys.executable, "-m", "fer.predict.cli", *options, *arguments]


def run_quietly(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def time_command(files: Sequence[Path], request: argparse.Namespace) -> None:
    taken = time_in_turns(
        {"command": lambda: run_quietly(command(request, str(files[0])))}, request.turns, 1
    )["command"]
    print_row("fer-predict photo.jpg, from shell to result", taken, "s", 2.5)


def time_folder(predictor: Predictor, files: Sequence[Path], request: argparse.Namespace) -> None:
    """Time a folder, compared with the detector alone on decoded images with as many threads."""
    with tempfile.TemporaryDirectory() as folder:
        paths = copies(files, request.folder, Path(folder))
        images = [read_image(path) for path in files]
        decoded = [images[i % len(images)] for i in range(len(paths))]
        functions = {
            "detect": lambda: detect_all(predictor, decoded),
            "predict_many": lambda: list(predictor.predict_many(paths)),
            "command": lambda: run_quietly(command(request, folder, "--json", os.devnull)),
        }
        times = time_in_turns(functions, min(3, request.turns), 1)
    count = f"{len(paths):,} photographs"
    print_row(f"{count}, detector alone, {predictor.threads} threads", times["detect"], "s")
    print_row(f"{count}, predict_many / detector", times["predict_many"] / times["detect"], "times", 1.5)
    print_row(f"{count}, fer-predict FOLDER / detector", times["command"] / times["detect"], "times", 1.5)


def detect_all(predictor: Predictor, images: Sequence[np.ndarray]) -> None:
    with ThreadPoolExecutor(predictor.threads) as pool:
        for _ in pool.map(predictor.detect, images):
            pass


def copies(files: Sequence[Path], number: int, folder: Path) -> list[Path]:
    paths = [folder / f"{i:06d}{files[i % len(files)].suffix}" for i in range(number)]
    for i, path in enumerate(paths):
        path.write_bytes(files[i % len(files)].read_bytes())
    return paths


def measure_memory(files: Sequence[Path], request: argparse.Namespace) -> None:
    """Measure the peak memory of a predictor in a separate process, without torch."""
    code = _MEMORY.format(model=request.model, detector=request.detector, file=request.detector_model)
    command = [sys.executable, "-c", code, *map(str, files[:50])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print_row("peak memory of a predictor", float(output), "MB", 300)


if __name__ == "__main__":
    main()
