"""The synthetic dataset: which faces it has, and their rendering in several processes."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.dataset import EmotionData
from fer.data.synthetic.parameters import FaceParameters, check_difficulty, sample_parameters
from fer.data.synthetic.render import check_size, render_face

SPLITS = ("train", "val", "test")
# Starting Python takes about as long as rendering this many faces at 48 pixels.
_MIN_FACES_PER_PROCESS = 300


@dataclass(frozen=True)
class DatasetSpec:
    """The specification of a dataset; fields as the arguments of `read_synthetic`."""

    counts: tuple[int, int, int]
    size: int
    color: bool
    seed: int
    difficulty: float

    def positions(self) -> list[tuple[int, int]]:
        """Return the split and the position in it of every face, in the order of the dataset."""
        return [(split, position) for split, count in enumerate(self.counts) for position in range(count)]


def read_synthetic(
    num_train: int = 4000,
    num_val: int = 700,
    num_test: int = 700,
    size: int = 48,
    color: bool = False,
    seed: int = 0,
    difficulty: float = 1.0,
    num_workers: int | None = None,
) -> EmotionData:
    """Render a dataset of synthetic faces with the seven emotions of FER7, balanced and shuffled.

    A face depends only on ``seed``, its split and its position: a larger split starts with the same faces,
    and ``num_workers`` affects only the time.

    Args:
        num_train: Number of training faces; a split without faces has no role.
        num_val: Number of validation faces.
        num_test: Number of test faces.
        size: Side of the images in pixels, at least 16.
        color: RGB if true, else gray.
        seed: Seed, 0 or more.
        difficulty: 0 (frontal, clear, strong expressions) to 1; see `sample_parameters`.
        num_workers: Processes for a large dataset; one per CPU if None.

    Returns:
        Images ``(N, size, size, 1 or 3)`` in the order train, val, test.

    Raises:
        FerError: A negative count, no faces, a size below 16, a negative seed, a difficulty outside [0, 1],
            or less than one worker.
    """
    counts = (num_train, num_val, num_test)
    _check_arguments(counts, seed, num_workers)
    check_size(size)
    check_difficulty(difficulty)
    spec = DatasetSpec(counts, size, color, seed, difficulty)
    positions = spec.positions()
    targets = np.array([emotion_at(seed, split, position) for split, position in positions], np.int64)
    split = np.array([split for split, _ in positions], np.uint8)
    roles = {name: name for name, count in zip(SPLITS, counts, strict=True) if count}
    source = f"synthetic faces, seed {seed}"
    return EmotionData(render_dataset(spec, num_workers), targets, split, SPLITS, roles, FER7, source)


def _check_arguments(counts: tuple[int, ...], seed: int, num_workers: int | None) -> None:
    for name, count in zip(SPLITS, counts, strict=True):
        if count < 0:
            raise FerError(f"synthetic faces: expected num_{name} of 0 or more, got {count}.")
    if not any(counts):
        raise FerError(
            "synthetic faces: expected at least one face, got num_train, num_val and num_test of 0."
        )
    if seed < 0:
        raise FerError(f"synthetic faces: expected a seed of 0 or more, got {seed}.")
    if num_workers is not None and num_workers < 1:
        raise FerError(f"synthetic faces: expected num_workers of 1 or more, got {num_workers}.")


def emotion_at(seed: int, split: int, position: int) -> int:
    """Return the class number of one face. Every block of seven has all emotions, in a random order."""
    block, offset = divmod(position, len(FER7))
    return int(np.random.default_rng([seed, split, 0, block]).permutation(len(FER7))[offset])


def face_at(seed: int, split: int, position: int, difficulty: float = 1.0) -> tuple[FaceParameters, int]:
    """Return the parameters and the class number of one face, which depend only on the arguments.

    Args:
        seed: Seed of the dataset.
        split: Position in `SPLITS`.
        position: Position in the split.
        difficulty: See `sample_parameters`.
    """
    emotion = emotion_at(seed, split, position)
    return sample_parameters(emotion, np.random.default_rng([seed, split, 1, position]), difficulty), emotion


def render_dataset(spec: DatasetSpec, num_workers: int | None) -> np.ndarray:
    """Render all faces of a dataset, uint8 (N, size, size, 1 or 3).

    Args:
        spec: The specification of the dataset.
        num_workers: Maximum number of processes; one per CPU if None.
    """
    total = sum(spec.counts)
    max_workers = os.cpu_count() or 1 if num_workers is None else num_workers
    num_parts = max(1, min(max_workers, total // _MIN_FACES_PER_PROCESS))
    if num_parts == 1:
        return render_part(spec, 0, 1)
    images = np.empty((total, spec.size, spec.size, 3 if spec.color else 1), np.uint8)

    def collect(first: int) -> None:
        part = images[first::num_parts]
        pixels = _render_in_subprocess(spec, first, num_parts)
        part[:] = np.frombuffer(pixels, np.uint8).reshape(part.shape)

    with ThreadPoolExecutor(num_parts) as pool:
        list(pool.map(collect, range(num_parts)))
    return images


def _render_in_subprocess(spec: DatasetSpec, first: int, step: int) -> bytes:
    """Run a worker process and return its pixels."""
    # Not multiprocessing: fork can deadlock with other threads, and spawn needs a main guard.
    job = json.dumps({"spec": asdict(spec), "first": first, "step": step})
    command = [sys.executable, "-m", "fer.data.synthetic.worker", job]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def render_part(spec: DatasetSpec, first: int, step: int) -> np.ndarray:
    """Render every ``step``-th face of a dataset from ``first`` on, uint8 (N, size, size, 1 or 3)."""
    part = spec.positions()[first::step]
    images = np.empty((len(part), spec.size, spec.size, 3 if spec.color else 1), np.uint8)
    for row, (split, position) in enumerate(part):
        parameters, _ = face_at(spec.seed, split, position, spec.difficulty)
        images[row] = render_face(parameters, spec.size, spec.color)[0]
    return images
