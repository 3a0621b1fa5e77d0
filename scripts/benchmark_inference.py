"""How fast and how large is prediction? Photographs in, a table with the goals out.

    python scripts/benchmark_inference.py PHOTOS [--model BUNDLE] [--run RUN] [--detector-model FILE]

Everything is measured in this one run, in turns where two things are compared, and given as medians: figures
of another hour or machine do not compare. With --run, a training run, its network is timed in torch too.
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
from fer.picture import list_image_files, read_image
from fer.predict import Predictor

_MEMORY = """import resource, sys
from fer import Predictor
predictor = Predictor({model!r}, {detector!r}, {file!r})
assert len([predictor(path) for path in sys.argv[1:]]) and "torch" not in sys.modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, KiB on Linux
"""


def main(arguments: Sequence[str] | None = None) -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photos", type=Path, help="folder of photographs with faces")
    words.add_argument("--model", help="bundle (default: the one in the package)")
    words.add_argument("--run", type=Path, help="training run of the same network, to time torch on it")
    words.add_argument("--detector", default="auto")
    words.add_argument("--detector-model")
    words.add_argument("--turns", type=int, default=5)
    words.add_argument("--folder", type=int, default=1000, help="photographs in the folder (copies)")
    request = words.parse_args(arguments)
    predictor = Predictor(request.model, request.detector, request.detector_model)
    files = list_image_files(request.photos)
    print(f"model {predictor.card.name} ({predictor.card.precision}), detector {predictor.detector.name}, "
          f"{len(files)} photographs, {predictor.threads} cores, {request.turns} turns")  # fmt: skip
    print(f"{'':<46}{'measured':>12}{'goal':>12}")
    weigh(files, request)  # first: a process takes over the peak of the one that started it, torch and all
    time_model(predictor, request)
    time_frame(predictor, files, request.turns)
    time_command(files, request)
    time_folder(predictor, files, request)


def row(name: str, value: float, unit: str, goal: float | None = None, more_is_better: bool = False) -> None:
    bound = "" if goal is None else f"{'>=' if more_is_better else '<='} {goal:g}"
    missed = goal is not None and (value < goal if more_is_better else value > goal)
    print(f"{name:<46}{value:>12,.2f}{bound:>12}  {unit}{'  MISSED' if missed else ''}", flush=True)


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def in_turns(works: dict[str, Callable[[], object]], turns: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of each work; they take turns, and an untimed one comes first."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            taken = seconds(work, repeats)
            if turn:
                times[name].append(taken)
    return {name: median(taken) for name, taken in times.items()}


def time_model(predictor: Predictor, request: argparse.Namespace) -> None:
    """Time the model alone: a face at a time on one core, 64 at a time on two."""
    from fer.bundle.find import find_bundle

    bundle, side = find_bundle(request.model), predictor.card.image_size
    faces = np.random.default_rng(0).integers(0, 256, (64, side, side, 3), dtype=np.uint8)
    for batch, threads, repeats in ((1, 1, 200), (64, 2, 10)):
        classifier, part = OnnxClassifier(bundle, threads), faces[:batch]
        works: dict[str, Callable[[], object]] = {"ours": lambda model=classifier, part=part: model(part)}
        if request.run:
            works["torch"] = torch_work(request.run, batch, threads)
        found = in_turns(works, request.turns, repeats)
        if batch == 1:
            row("model, a face at a time, one core", 1000 * found["ours"], "ms a face", 1.5)
        else:
            row("model, 64 faces at a time, two cores", 64 / found["ours"], "faces/s", 1500, True)
        if request.run:
            row("  torch eager, the same network: takes", found["torch"] / found["ours"], "times as long")


def torch_work(run: Path, batch: int, threads: int) -> Callable[[], object]:
    """Return a call of the run's network in torch, on floats that are prepared already."""
    import torch

    from fer.checkpoint import find_checkpoint, load_checkpoint

    checkpoint = load_checkpoint(find_checkpoint(run) or run)
    side, weight = checkpoint.config["model"]["image_size"], next(checkpoint.model.parameters())
    image = torch.randn(batch, weight.shape[1], side, side)

    @torch.inference_mode()
    def work() -> object:
        torch.set_num_threads(threads)
        return checkpoint.model(image)

    return work


def time_frame(predictor: Predictor, files: Sequence[Path], turns: int) -> None:
    """Time detector and classifier on frames of 640 x 480 that hold a photograph."""
    frames = [frame_of(read_image(file)) for file in files[:20]]
    works = {
        "all": lambda: [predictor(frame) for frame in frames],
        "find": lambda: [predictor.detect(frame) for frame in frames],
    }
    found = in_turns(works, turns, 1)
    row("a 640 x 480 frame, detector and model", 1000 * found["all"] / len(frames), "ms", 15)
    row("  of it the detector", 1000 * found["find"] / len(frames), "ms")


def frame_of(photo: np.ndarray) -> np.ndarray:
    frame, scale = np.full((480, 640, 3), 128, np.uint8), min(1, 480 / photo.shape[0], 640 / photo.shape[1])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame[: small.shape[0], : small.shape[1]] = small
    return frame


def command(request: argparse.Namespace, *words: str) -> list[str]:
    chosen = ["--detector", request.detector]
    chosen += ["--model", request.model] if request.model else []
    chosen += ["--detector-model", request.detector_model] if request.detector_model else []
    return [sys.executable, "-m", "fer.predict_cli", *chosen, *words]


def run_quietly(words: Sequence[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def time_command(files: Sequence[Path], request: argparse.Namespace) -> None:
    taken = in_turns({"it": lambda: run_quietly(command(request, str(files[0])))}, request.turns, 1)["it"]
    row("fer-predict photo.jpg, from shell to answer", taken, "s", 2.5)


def time_folder(predictor: Predictor, files: Sequence[Path], request: argparse.Namespace) -> None:
    """Time a folder against the detector alone on decoded pictures, with the same threads."""
    with tempfile.TemporaryDirectory() as place:
        paths = copies(files, request.folder, Path(place))
        pictures = [read_image(path) for path in files]
        decoded = [pictures[i % len(pictures)] for i in range(len(paths))]
        works = {
            "find": lambda: find_all(predictor, decoded),
            "many": lambda: list(predictor.predict_many(paths)),
            "command": lambda: run_quietly(command(request, place, "--json", os.devnull)),
        }
        found = in_turns(works, min(3, request.turns), 1)
    count = f"{len(paths):,} photographs"
    row(f"{count}, detector alone, {predictor.threads} threads", found["find"], "s")
    row(f"{count}, predict_many, over detector", found["many"] / found["find"], "times", 1.5)
    row(f"{count}, fer-predict FOLDER, over detector", found["command"] / found["find"], "times", 1.5)


def find_all(predictor: Predictor, pictures: Sequence[np.ndarray]) -> None:
    with ThreadPoolExecutor(predictor.threads) as pool:
        for _ in pool.map(predictor.detect, pictures):
            pass


def copies(files: Sequence[Path], number: int, place: Path) -> list[Path]:
    paths = [place / f"{i:06d}{files[i % len(files)].suffix}" for i in range(number)]
    for i, path in enumerate(paths):
        path.write_bytes(files[i % len(files)].read_bytes())
    return paths


def weigh(files: Sequence[Path], request: argparse.Namespace) -> None:
    """Measure the peak memory of a predictor in a process of its own, without torch."""
    code = _MEMORY.format(model=request.model, detector=request.detector, file=request.detector_model)
    words = [sys.executable, "-c", code, *map(str, files[:50])]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    row("peak memory of a predictor", float(told), "MB", 300)


if __name__ == "__main__":
    main()
