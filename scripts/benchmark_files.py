"""How fast a folder of pictures is listed and read, and whether memory stays flat meanwhile.

    uv run python scripts/benchmark_files.py [--pictures 20000] [--batches 100] [--workers 2]

Makes a folder of drawn faces (a few files and hard links to them) and prints seconds to list it, against a
bare ``os.walk``; images/s of the loader, with and without augmentation, against a bare ``cv2.imread`` loop on
one core; and the memory of this process and of its workers near the first and at the last of the batches.
Both sides of a pair take turns, and the best of each counts. The files are in the system's cache: a slow disk
adds its own time to both.
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

from fer.data.augment import AugmentationConfig
from fer.data.dataset import EmotionData
from fer.data.file_backed import file_backed_loader
from fer.data.folder import read_folder
from fer.data.loader import BatchSampler
from fer.data.picture_set import prepare_image_set
from fer.data.pictures import ImageFiles
from fer.data.splits import indices
from fer.data.synthetic import read_synthetic
from fer.options import CONFIG_DIR

FACES, SIDE, BATCH = 70, 112, 64
OPTIONS = {"val_fraction": 0.1, "split_seed": 0, "memory_gb": 0, "skip_corrupt": False}


def make_folder(root: Path, pictures: int) -> None:
    """Write ``train/<emotion>/*.jpg``: drawn faces, and links to them until there are enough."""
    data = read_synthetic(FACES, 0, 0, size=SIDE, color=True)
    for i, (image, target) in enumerate(zip(data.images, data.targets, strict=True)):
        folder = root / "train" / data.labels.names[target]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i:07}.jpg"), image[..., ::-1])
        for copy in range(i + FACES, pictures, FACES):
            os.link(folder / f"{i:07}.jpg", folder / f"{copy:07}.jpg")


def in_turns(*runs: Callable[[], object], times: int = 3) -> list[float]:
    """Return the least seconds of each of several things that take turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(times):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return list(map(min, seconds))


def walk(root: Path) -> list[str]:
    """List the files as Python's library does."""
    return [f"{folder}/{name}" for folder, _, names in os.walk(root) for name in names]


def read_plainly(images: ImageFiles, rows: np.ndarray) -> None:
    """Decode some pictures one after the other, at their own size."""
    for row in rows:
        cv2.imread(images.files.path(row), cv2.IMREAD_COLOR)


def loader(data: EmotionData, recipe: AugmentationConfig, workers: int) -> Iterator[object]:
    """Return the training batches of an epoch."""
    assert isinstance(data.images, ImageFiles)
    rows = indices(data, "train")
    order = BatchSampler(len(rows), BATCH, shuffle=True)
    return iter(file_backed_loader(data.images, rows, order, recipe, 0, workers))


def memory() -> tuple[float, float]:
    """Return MB resident in this process, and the unshared and shared parts of all its children (Linux)."""
    own, children = os.getpid(), 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if int(fields["PPid"]) == own:
            children += int(fields["RssAnon"].split()[0]) / 1e3
    mine = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    return int(mine["VmRSS"].split()[0]) / 1e3, children


def measure_listing(root: Path, pictures: int) -> EmotionData:
    """Print seconds to list the folder, and to make the set of it that training holds."""
    seconds, bare = in_turns(lambda: read_folder(root, SIDE, color=True), lambda: walk(root))
    print(f"list {pictures:,} files: {seconds:.2f} s, os.walk {bare:.2f} s, ratio {seconds / bare:.1f}")
    start = time.perf_counter()
    data = prepare_image_set(read_folder(root, SIDE, color=True), OPTIONS)
    print(f"list, check and carve out validation: {time.perf_counter() - start:.2f} s")
    return data


def measure_reading(data: EmotionData, recipe: AugmentationConfig, name: str, workers: int, batches: int) -> None:
    """Print images/s of the loader in this process and with workers."""
    images, rows, portion = data.images, indices(data, "train"), max(1, batches // 4)
    assert isinstance(images, ImageFiles)
    num_images = BATCH * portion
    for number in dict.fromkeys((0, workers)):
        stream = loader(data, recipe, number)
        for _ in range(2 * number + 1):  # start the workers and fill their queue
            next(stream)
        seconds, bare = in_turns(
            lambda stream=stream: [next(stream) for _ in range(portion)],
            lambda: read_plainly(images, rows[:num_images]),
        )
        print(
            f"augmentation={name}, {number} workers: {num_images / seconds:,.0f} images/s, "
            f"cv2.imread {num_images / bare:,.0f}, share {bare / seconds:.2f}"
        )


def measure_memory(data: EmotionData, recipe: AugmentationConfig, name: str, workers: int, batches: int) -> None:
    """Print the memory after a tenth of the batches and after all."""
    stream = loader(data, recipe, workers)
    for number in range(1, batches + 1):
        next(stream)
        if number in (max(1, batches // 10), batches):
            mine, children = memory()
            print(
                f"augmentation={name}, {workers} workers, batch {number}: this process {mine:.1f} MB, "
                f"its workers' own pages {children:.1f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--augmentation", nargs="*", default=["none", "standard"])
    asked = parser.parse_args()
    recipes = {name: yaml.safe_load((CONFIG_DIR / "augmentation" / f"{name}.yaml").read_text())
               for name in asked.augmentation}  # fmt: skip
    if BATCH * (asked.batches + 2 * asked.workers + 1) > 0.9 * asked.pictures:
        sys.exit(f"error: {asked.pictures} pictures are too few for {asked.batches} batches of {BATCH}")
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder), asked.pictures)
        data = measure_listing(Path(folder), asked.pictures)
        for name, numbers in recipes.items():
            measure_reading(data, AugmentationConfig(**numbers), name, asked.workers, asked.batches)
            measure_memory(data, AugmentationConfig(**numbers), name, asked.workers, asked.batches)


if __name__ == "__main__":
    main()
