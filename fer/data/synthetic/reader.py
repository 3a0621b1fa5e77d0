"""A data set of synthetic faces, rendered on demand."""

import numpy as np

from fer.data.dataset import EmotionData
from fer.data.synthetic.drawing import SPLITS, DatasetSpec, emotion_at, render_dataset
from fer.data.synthetic.render import check_size
from fer.data.synthetic.sampling import check_difficulty
from fer.errors import FerError
from fer.labels import FER7


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
    """Render a data set of synthetic faces with the emotions of `fer.labels.FER7`, balanced and shuffled.

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
        num_workers: Processes for a large data set; one per CPU if None.

    Returns:
        Images ``(N, size, size, 1 or 3)`` in the order train, val, test.

    Raises:
        FerError: A negative count, no faces, a size below 16, a negative seed, a difficulty outside [0, 1],
            or less than one worker.
    """
    counts = (num_train, num_val, num_test)
    _check(counts, seed, num_workers)
    check_size(size)
    check_difficulty(difficulty)
    spec = DatasetSpec(counts, size, color, seed, difficulty)
    positions = spec.positions()
    targets = np.array([emotion_at(seed, split, position) for split, position in positions], np.int64)
    split = np.array([split for split, _ in positions], np.uint8)
    roles = {name: name for name, count in zip(SPLITS, counts, strict=True) if count}
    source = f"synthetic faces, seed {seed}"
    return EmotionData(render_dataset(spec, num_workers), targets, split, SPLITS, roles, FER7, source)


def _check(counts: tuple[int, ...], seed: int, num_workers: int | None) -> None:
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
