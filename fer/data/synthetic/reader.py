"""A set of synthetic faces, drawn on demand."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fer.data.dataset import EmotionData
from fer.data.synthetic.parameters import FaceParameters
from fer.data.synthetic.render import MIN_SIZE, render_face
from fer.data.synthetic.sampling import sample_parameters
from fer.errors import FerError
from fer.labels import FER7

SPLITS = ("train", "val", "test")


def face_at(seed: int, split: int, position: int, difficulty: float = 1.0) -> tuple[FaceParameters, int]:
    """The parameters and the emotion of one face of a set; they depend on nothing else.

    Every seven faces in a row show the seven emotions, in a random order.

    Args:
        seed: Seed of the set.
        split: Position in `SPLITS`.
        position: Position in the split.
        difficulty: See `sample_parameters`.
    """
    block, place = divmod(position, len(FER7))
    order = np.random.default_rng([seed, split, 0, block]).permutation(len(FER7))
    emotion = int(order[place])
    return sample_parameters(emotion, np.random.default_rng([seed, split, 1, position]), difficulty), emotion


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
    """Draw a set of synthetic faces with the emotions of `fer.labels.FER7`, balanced and shuffled.

    A face depends on ``seed``, its split and its position alone: enlarging a split keeps its earlier faces, and
    ``num_workers`` changes nothing but the time.

    Args:
        num_train, num_val, num_test: Number of faces in each split; a split of none is left out.
        size: Side of the pictures in pixels, at least 16.
        color: RGB if true, else gray.
        seed: Seed, not negative.
        difficulty: 0 (frontal, clear, strong expressions) to 1; see `sample_parameters`.
        num_workers: Threads; one for each processor if None.

    Returns:
        Images ``(N, size, size, 1 or 3)`` in the order train, val, test.

    Raises:
        FerError: A negative or empty count, a size below 16, a negative seed, or a difficulty outside [0, 1].
    """
    counts = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
    _check(counts, size, seed, num_workers)
    wanted = [(split, at) for split, name in enumerate(SPLITS) for at in range(counts[name])]
    images = np.empty((len(wanted), size, size, 3 if color else 1), np.uint8)
    targets = np.empty(len(wanted), np.int64)

    def draw(index: int) -> None:
        parameters, targets[index] = face_at(seed, *wanted[index], difficulty)
        images[index] = render_face(parameters, size, color)[0]

    with ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:
        for _ in pool.map(draw, range(len(wanted))):
            pass
    split = np.array([split for split, _ in wanted], np.uint8)
    roles = {name: name for name in SPLITS if counts[name]}
    return EmotionData(images, targets, split, SPLITS, roles, FER7, f"synthetic faces, seed {seed}")


def _check(counts: dict[str, int], size: int, seed: int, num_workers: int | None) -> None:
    for name, count in counts.items():
        if count < 0:
            raise FerError(f"synthetic faces: expected num_{name} of 0 or more, got {count}.")
    if not any(counts.values()):
        raise FerError("synthetic faces: expected at least one face, got num_train, num_val and num_test of 0.")
    if size < MIN_SIZE:
        raise FerError(f"synthetic faces: expected a size of at least {MIN_SIZE} pixels, got {size}.")
    if seed < 0:
        raise FerError(f"synthetic faces: expected a seed of 0 or more, got {seed}.")
    if num_workers is not None and num_workers < 1:
        raise FerError(f"synthetic faces: expected num_workers of 1 or more, got {num_workers}.")
