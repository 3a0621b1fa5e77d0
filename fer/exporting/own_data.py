"""The pictures that a run was trained and chosen on, where they are still at hand."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.data.sources import read
from fer.data.splits import indices
from fer.errors import FerError
from fer.scoring import Scene, TrainedRun
from fer.scoring.trace import changed

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


def validation_faces(scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces to judge a model on and the class numbers of their emotions.

    Returns:
        uint8 ``(N, side, side, C)`` and int64 ``(N,)``.
    """
    return resized(scene.subject.data.images[:], side), scene.subject.target


def training_faces(scene: Scene, side: int, number: int) -> np.ndarray:
    """Return faces of the training split, evenly spread over it, uint8 ``(number, side, side, C)``."""
    rows = indices(scene.whole, "train")
    return resized(scene.whole.images[spread(rows, number)], side)


def parity_faces(run: TrainedRun, scene: Scene | None, side: int, number: int) -> tuple[np.ndarray, str]:
    """Return faces to compare two runtimes on, uint8 ``(number, side, side, C)``, and what they are.

    They are of the validation split; drawn ones stand in where that is not at hand or smaller.
    """
    if scene is not None and len(scene.subject.index) >= number:
        rows = spread(np.arange(len(scene.subject.index)), number)
        return resized(scene.subject.data.images[rows], side), scene.subject.split
    drawn = read({**_DRAWN, "num_train": number, "size": side, "color": not is_gray(run)})
    return resized(drawn.images[:], side), "drawn faces"


def spread(rows: np.ndarray, number: int) -> np.ndarray:
    """Return so many of ``rows``, evenly spaced; all where there are no more."""
    return rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]


def resized(pictures: np.ndarray, side: int) -> np.ndarray:
    """Return pictures uint8 ``(N, H, W, C)`` with sides of ``side`` pixels."""
    if pictures.shape[1:3] == (side, side):
        return np.asarray(pictures)
    how = cv2.INTER_AREA if min(pictures.shape[1:3]) > side else cv2.INTER_LINEAR
    scaled = [cv2.resize(picture, (side, side), interpolation=how) for picture in pictures]
    return np.stack(scaled).reshape(len(pictures), side, side, pictures.shape[3])


def without_places(value: Any) -> Any:
    """Return nested values without absolute paths: what leaves the lab tells no folder of it."""
    if isinstance(value, dict):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    is_place = isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~"))
    return Path(value).name if is_place else value
