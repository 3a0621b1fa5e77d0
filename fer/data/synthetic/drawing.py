"""Draw a set of faces, on several processors: `python -m fer.data.synthetic.worker` draws each share."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from fer.data.synthetic.parameters import FaceParameters
from fer.data.synthetic.render import render_face
from fer.data.synthetic.sampling import sample_parameters
from fer.labels import FER7

SPLITS = ("train", "val", "test")
_WORTH_A_PROCESS = 300  # faces; starting Python takes about as long as drawing these at 48 pixels


@dataclass(frozen=True)
class Recipe:
    """What a set is made of; arguments as in `read_synthetic`."""

    counts: tuple[int, int, int]
    size: int
    color: bool
    seed: int
    difficulty: float

    def places(self) -> list[tuple[int, int]]:
        """Split and position of every face, in the order of the set."""
        return [(split, at) for split, count in enumerate(self.counts) for at in range(count)]


def emotion_at(seed: int, split: int, position: int) -> int:
    """Class number of one face: every seven in a row show the seven emotions, in a random order."""
    block, place = divmod(position, len(FER7))
    return int(np.random.default_rng([seed, split, 0, block]).permutation(len(FER7))[place])


def face_at(seed: int, split: int, position: int, difficulty: float = 1.0) -> tuple[FaceParameters, int]:
    """The parameters and the class number of one face of a set; they depend on nothing else.

    Args:
        seed: Seed of the set.
        split: Position in `SPLITS`.
        position: Position in the split.
        difficulty: See `sample_parameters`.
    """
    emotion = emotion_at(seed, split, position)
    return sample_parameters(emotion, np.random.default_rng([seed, split, 1, position]), difficulty), emotion


def draw_share(recipe: Recipe, first: int, step: int) -> np.ndarray:
    """Every ``step``-th face of a set from ``first`` on, uint8 (N, size, size, 1 or 3)."""
    share = recipe.places()[first::step]
    images = np.empty((len(share), recipe.size, recipe.size, 3 if recipe.color else 1), np.uint8)
    for row, (split, position) in enumerate(share):
        parameters, _ = face_at(recipe.seed, split, position, recipe.difficulty)
        images[row] = render_face(parameters, recipe.size, recipe.color)[0]
    return images


def draw_set(recipe: Recipe, num_workers: int | None) -> np.ndarray:
    """All faces of a set, uint8 (N, size, size, 1 or 3)."""
    total = sum(recipe.counts)
    most = os.cpu_count() or 1 if num_workers is None else num_workers
    step = max(1, min(most, total // _WORTH_A_PROCESS))
    if step == 1:
        return draw_share(recipe, 0, 1)
    images = np.empty((total, recipe.size, recipe.size, 3 if recipe.color else 1), np.uint8)

    def collect(first: int) -> None:
        share = images[first::step]
        share[:] = np.frombuffer(_draw_elsewhere(recipe, first, step), np.uint8).reshape(share.shape)

    with ThreadPoolExecutor(step) as pool:
        list(pool.map(collect, range(step)))
    return images


def _draw_elsewhere(recipe: Recipe, first: int, step: int) -> bytes:
    """Run a worker and take its pixels."""
    # A plain command: a forked pool can hang beside other threads, and a spawned one needs a main guard.
    job = json.dumps({"recipe": asdict(recipe), "first": first, "step": step})
    command = [sys.executable, "-m", "fer.data.synthetic.worker", job]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
