"""The pictures that a run was trained and chosen on, where they are still at hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.pictures import ImageFiles
from fer.data.sources import read
from fer.data.splits import indices
from fer.errors import FerError
from fer.scoring import Scene, TrainedRun
from fer.scoring.trace import changed

PLACES = ("path", "init_from", "pretrained")  # keys of the config that name files
_DRAWN = {"name": "synthetic", "num_val": 0, "num_test": 0, "seed": 0, "difficulty": 1.0}


def find_scene(run: TrainedRun, place: str | None) -> Scene | None:
    """Return the validation split that a run was chosen on; None where it is gone, which is said.

    Args:
        run: The run.
        place: Where its data lies now; None: where it was in training.

    Raises:
        FerError: ``place`` was given and does not hold the data.
    """
    try:
        return _open(run, place)
    except FerError as error:
        if place is not None:
            raise
        print(f"data         not at hand; name its place with --calibration. {error}", flush=True)
        return None


def _open(run: TrainedRun, place: str | None) -> Scene:
    if place is not None and "path" not in run.trained.config["datamodule"]:
        raise FerError(f"--calibration {place}: the run's data lies in no single place; leave it out.")
    scene = Scene(run, "val", place)
    if "val" in changed(scene.whole, run.trained.manifest):
        raise FerError(f"{scene.subject.data.source}: the validation images are not those of the training.")
    assert len(scene.subject.index)
    return scene


def is_gray(run: TrainedRun) -> bool:
    """Whether a run was trained on gray pictures."""
    return bool(run.trained.manifest["image_shape"][2] == 1)


def validation_faces(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces to judge a model on and the class numbers of their emotions.

    Returns:
        uint8 ``(N, S, S, C)`` and int64 ``(N,)``; without the pictures that cannot be read, where training
        went on without them.
    """
    faces, readable = _readable(scene.subject.data.images, np.arange(len(scene.subject.index)))
    return faces, scene.subject.target[readable]


def training_faces(scene: Scene, number: int) -> np.ndarray:
    """Return faces of the training split, evenly spread over it, uint8 ``(number, S, S, C)`` or fewer."""
    return _readable(scene.whole.images, spread(indices(scene.whole, "train"), number))[0]


def _readable(images: np.ndarray | ImageFiles, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures of rows, and which of ``rows`` can be read, bool ``(n,)``.

    Raises:
        FerError: One cannot, and training did not go on without such.
    """
    if isinstance(images, np.ndarray):
        return images[rows], np.ones(len(rows), bool)
    pictures, readable = images.read(rows)
    if not readable.all():
        images.give_up(rows[~readable], all_of_it=not readable.any())
    return pictures, readable


def parity_faces(run: TrainedRun, scene: Scene | None, side: int, number: int) -> tuple[np.ndarray, str]:
    """Return faces to compare two runtimes on, uint8 ``(number, side, side, C)``, and what they are.

    They are of the validation split; drawn ones stand in where that is not at hand or smaller.
    """
    if scene is not None and len(scene.subject.index) >= number:
        rows = spread(np.arange(len(scene.subject.index)), number)
        return _readable(scene.subject.data.images, rows)[0], scene.subject.split
    drawn = read({**_DRAWN, "num_train": number, "size": side, "color": not is_gray(run)})
    return drawn.images[:], "drawn faces"


def spread(rows: np.ndarray, number: int) -> np.ndarray:
    """Return so many of ``rows``, evenly spaced; all where there are no more."""
    return rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]


def without_places(value: Any) -> Any:
    """Return nested values without folders: what leaves the lab tells none of it."""
    if isinstance(value, dict):
        named = {key: without_folder(inner) for key, inner in value.items()
                 if key in PLACES and isinstance(inner, str)}  # fmt: skip
        return {key: named[key] if key in named else without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    is_place = isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~"))
    return without_folder(value) if is_place else value


def without_folder(path: str) -> str:
    """Return the name alone of a path, in its quotes if it has any."""
    return re.sub(r"[^'\"]*/", "", re.sub(r"/+(?=['\"]?$)", "", path))
