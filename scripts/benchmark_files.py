"""Benchmark of image folders: speed of listing and reading, and memory over the batches.

    uv run python scripts/benchmark_files.py [--pictures 20000] [--batches 100] [--workers 2]

Creates a folder of synthetic faces (a few files and hard links to them). Prints the seconds to list it,
compared with ``os.walk``; the images/s of the loader, with and without augmentation, compared with a
``cv2.imread`` loop on one core; and the memory of this process and its workers after a tenth of the batches
and after all. Compared functions take turns, and the best time of each counts. The files are in the page
cache; a slow disk would add the same time to all of them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import yaml

from fer.core.paths import CONFIG_DIR
from fer.data.augment_config import AugmentationConfig
from fer.data.config import FolderConfig
from fer.data.dataset import EmotionData
from fer.data.image_files import ImageFiles
from fer.data.loaders import BatchSampler, file_backed_loader
from fer.data.readers.factory import prepare_image_set
from fer.data.readers.folder import read_folder
from fer.data.splits import indices
from fer.data.synthetic import read_synthetic

FACES, SIDE, BATCH = 70, 112, 64
CONFIG = FolderConfig(path="", val_fraction=0.1, memory_gb=0)


def make_folder(root: Path, num_images: int) -> None:
    """Write ``train/<emotion>/*.jpg``: synthetic faces, and hard links to them up to the number of images."""
    data = read_synthetic(FACES, 0, 0, size=SIDE, color=True)
    for i, (image, target) in enumerate(zip(data.images, data.targets, strict=True)):
        folder = root / "train" / data.labels.names[target]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i:07}.jpg"), image[..., ::-1])
        for copy in range(i + FACES, num_images, FACES):
            os.link(folder / f"{i:07}.jpg", folder / f"{copy:07}.jpg")


def time_in_turns(*functions: Callable[[], object], times: int = 3) -> list[float]:
    """Return the minimum seconds of each function; they take turns."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(times):
        for function, times_taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            times_taken.append(time.perf_counter() - start)
    return list(map(min, seconds))


def walk(root: Path) -> list[str]:
    """List the files with ``os.walk``."""
    return [f"{folder}/{name}" for folder, _, names in os.walk(root) for name in names]


def read_with_opencv(images: ImageFiles, rows: np.ndarray) -> None:
    """Decode images one after the other, at their original size."""
    for row in rows:
        cv2.imread(images.files.path(row), cv2.IMREAD_COLOR)


def loader(data: EmotionData, augmentation: AugmentationConfig, workers: int) -> Iterator[object]:
    """Return the training batches of an epoch."""
    assert isinstance(data.images, ImageFiles)
    rows = indices(data, "train")
    order = BatchSampler(len(rows), BATCH, shuffle=True)
    return iter(file_backed_loader(data.images, rows, order, augmentation, 0, workers))


def memory() -> tuple[float, float]:
    """Return the resident MB of this process, and the unshared MB of all its children (Linux)."""
    pid, children = os.getpid(), 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if int(fields["PPid"]) == pid:
            children += int(fields["RssAnon"].split()[0]) / 1e3
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    return int(fields["VmRSS"].split()[0]) / 1e3, children


def measure_listing(root: Path, num_images: int) -> EmotionData:
    """Print the seconds to list the folder and to prepare it for training; return its data set."""
    seconds, bare = time_in_turns(lambda: read_folder(root, SIDE, color=True), lambda: walk(root))
    print(f"list {num_images:,} files: {seconds:.2f} s, os.walk {bare:.2f} s, ratio {seconds / bare:.1f}")
    start = time.perf_counter()
    data = prepare_image_set(read_folder(root, SIDE, color=True), CONFIG)
    print(f"list, check and carve out validation: {time.perf_counter() - start:.2f} s")
    return data


def measure_reading(
    data: EmotionData, augmentation: AugmentationConfig, name: str, workers: int, batches: int
) -> None:
    """Print the images/s of the loader in this process and with workers."""
    images, rows, portion = data.images, indices(data, "train"), max(1, batches // 4)
    assert isinstance(images, ImageFiles)
    num_images = BATCH * portion
    for number in dict.fromkeys((0, workers)):
        stream = loader(data, augmentation, number)
        # Starts the workers and fills their queue.
        for _ in range(2 * number + 1):
            next(stream)
        seconds, bare = time_in_turns(
            lambda stream=stream: [next(stream) for _ in range(portion)],
            lambda: read_with_opencv(images, rows[:num_images]),
        )
        print(
            f"augmentation={name}, {number} workers: {num_images / seconds:,.0f} images/s, "
            f"cv2.imread {num_images / bare:,.0f}, ratio {bare / seconds:.2f}"
        )


def measure_memory(
    data: EmotionData, augmentation: AugmentationConfig, name: str, workers: int, batches: int
) -> None:
    """Print the memory after a tenth of the batches and after all batches."""
    stream = loader(data, augmentation, workers)
    for number in range(1, batches + 1):
        next(stream)
        if number in (max(1, batches // 10), batches):
            process, children = memory()
            print(
                f"augmentation={name}, {workers} workers, batch {number}: this process {process:.1f} MB, "
                f"unshared by its workers {children:.1f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20_000, help="number of images (default 20,000)")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--augmentation", nargs="*", default=["none", "standard"])
    options = parser.parse_args()
    configs = {name: yaml.safe_load((CONFIG_DIR / "augmentation" / f"{name}.yaml").read_text())
               for name in options.augmentation}  # fmt: skip
    if BATCH * (options.batches + 2 * options.workers + 1) > 0.9 * options.pictures:
        sys.exit(f"error: {options.pictures} images are too few for {options.batches} batches of {BATCH}")
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder), options.pictures)
        data = measure_listing(Path(folder), options.pictures)
        for name, values in configs.items():
            measure_reading(data, AugmentationConfig(**values), name, options.workers, options.batches)
            measure_memory(data, AugmentationConfig(**values), name, options.workers, options.batches)


if __name__ == "__main__":
    main()
