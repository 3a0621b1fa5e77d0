"""The synthetic dataset: which faces it has, and their rendering in several processes."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from fer.core.labels import FER7
from fer.core.threads import available_cores
from fer.data.dataset import EmotionData
from fer.data.synthetic.parameters import FaceParameters, sample_parameters
from fer.data.synthetic.render import render_face

SPLITS = ("train", "val", "test")
# Starting Python takes about as long as rendering this many faces at 48 pixels.
_MIN_FACES_PER_PROCESS = 300


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
        size: Side of the images in pixels; below 16 no face can be recognized.
        color: RGB if true, else gray.
        seed: Seed, 0 or more.
        difficulty: 0 (frontal, clear, strong expressions) to 1; see `sample_parameters`.
        num_workers: Processes for a large dataset; one per CPU if None.

    Returns:
        Images ``(N, size, size, 1 or 3)`` in the order train, val, test.
    """
    counts = (num_train, num_val, num_test)
    faces = [(split, position) for split, count in enumerate(counts) for position in range(count)]
    options: dict[str, Any] = {"size": size, "color": color, "seed": seed, "difficulty": difficulty}
    images = np.empty((len(faces), size, size, 3 if color else 1), np.uint8)
    max_parts = num_workers or available_cores()
    num_parts = max(1, min(max_parts, len(faces) // _MIN_FACES_PER_PROCESS))

    def fill(first: int) -> None:
        part = images[first::num_parts]
        pixels = _render_in_subprocess({"faces": faces[first::num_parts], **options})
        part[:] = np.frombuffer(pixels, np.uint8).reshape(part.shape)

    if num_parts == 1:
        for image, face in zip(images, faces, strict=True):
            image[:] = _render(face, **options)
    else:
        with ThreadPoolExecutor(num_parts) as pool:
            list(pool.map(fill, range(num_parts)))
    return EmotionData(
        images=images,
        targets=np.array([_emotion_at(seed, *face) for face in faces], np.int64),
        split=np.array([split for split, _ in faces], np.uint8),
        split_names=SPLITS,
        roles={name: name for name, count in zip(SPLITS, counts, strict=True) if count},
        labels=FER7,
        source=f"synthetic faces, seed {seed}",
    )


def _emotion_at(seed: int, split: int, position: int) -> int:
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
    emotion = _emotion_at(seed, split, position)
    return sample_parameters(emotion, np.random.default_rng([seed, split, 1, position]), difficulty), emotion


def _render(face: tuple[int, int], size: int, color: bool, seed: int, difficulty: float) -> np.ndarray:
    """Return the image of a face, given its split and its position in it."""
    return render_face(face_at(seed, *face, difficulty)[0], size, color)[0]


def _render_in_subprocess(job: dict[str, Any]) -> bytes:
    """Run `render_job` in a process of its own and return the pixels."""
    # Not multiprocessing: fork can deadlock with other threads, and spawn needs a main guard.
    command = [sys.executable, "-c", f"from {__name__} import render_job; render_job()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    content = json.dumps(job).encode()
    return subprocess.run(command, input=content, env=environment, stdout=subprocess.PIPE, check=True).stdout


def render_job() -> None:
    """Render the faces that standard input, JSON, specifies, and write their pixels to standard output."""
    job = json.load(sys.stdin)
    # One thread, because there is a process for each CPU.
    cv2.setNumThreads(1)
    for face in job.pop("faces"):
        sys.stdout.buffer.write(_render(face, **job).tobytes())
