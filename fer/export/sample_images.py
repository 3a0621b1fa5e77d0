"""Images of a run's training and validation split for an export; removal of local folders from values."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from fer.core.errors import FerError
from fer.data.config import SyntheticConfig
from fer.data.image_files import ImageFiles
from fer.data.readers.factory import read_dataset
from fer.data.splits import indices
from fer.evaluation.data import EvaluationData
from fer.evaluation.provenance import changed_roles
from fer.evaluation.runs import TrainedRun

# Config keys whose values are paths.
PATH_KEYS = ("path", "init_from", "pretrained")
# A backslash before one of these characters escapes it.
_SEPARATOR = r"(?:/|\\(?![,:=(){}\[\]\s]))"
_SYNTHETIC = SyntheticConfig(num_val=0, num_test=0)


def open_validation_data(run: TrainedRun, path: str | None) -> EvaluationData | None:
    """Return a run's validation data; print a message and return None if it is not available.

    Args:
        run: The run.
        path: Current path of its data; None: the path used in training.

    Raises:
        FerError: ``path`` was given and does not contain the run's data.
    """
    try:
        return _open(run, path)
    except FerError as error:
        if path is not None:
            raise
        print(f"data         not available; give its path with --calibration. {error}", flush=True)
        return None


def _open(run: TrainedRun, path: str | None) -> EvaluationData:
    if path is not None and not hasattr(run.config.datamodule, "path"):
        raise FerError(
            f"--calibration {path}: expected none, as the run's data has no datamodule.path. Remove it."
        )
    evaluation = EvaluationData(run, "val", path)
    if "val" in changed_roles(evaluation.dataset, run.checkpoint.manifest):
        raise FerError(
            f"{evaluation.split.data.source}: expected the validation images of the training, got others."
        )
    assert len(evaluation.split.index)
    return evaluation


def is_gray(run: TrainedRun) -> bool:
    """Return whether a run was trained on grayscale images."""
    return bool(run.checkpoint.manifest["image_shape"][2] == 1)


def validation_faces(evaluation: EvaluationData) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of the validation split and their class indices.

    Returns:
        uint8 ``(N, S, S, C)`` and int64 ``(N,)``. Unreadable images are left out if training skipped them.
    """
    faces, readable = _readable(evaluation.split.data.images, np.arange(len(evaluation.split.index)))
    return faces, evaluation.split.target[readable]


def training_faces(evaluation: EvaluationData, number: int) -> np.ndarray:
    """Return images evenly spaced over the training split, uint8 ``(number, S, S, C)`` or fewer."""
    rows = evenly_spaced(indices(evaluation.dataset, "train"), number)
    return _readable(evaluation.dataset.images, rows)[0]


def _readable(images: np.ndarray | ImageFiles, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the readable images of ``rows``, and a mask of the readable ones, bool ``(n,)``.

    Raises:
        FerError: An image is unreadable, and training did not skip such images.
    """
    if isinstance(images, np.ndarray):
        return images[rows], np.ones(len(rows), bool)
    pixels, readable = images.read(rows)
    if not readable.all():
        images.report_unreadable(rows[~readable], nothing_left=not readable.any())
    return pixels, readable


def parity_faces(
    run: TrainedRun, evaluation: EvaluationData | None, side: int, number: int
) -> tuple[np.ndarray, str]:
    """Return images for the parity check, uint8 ``(number, side, side, C)``, and their source.

    They are from the validation split, or synthetic if that is not available or too small.
    """
    if evaluation is not None and len(evaluation.split.index) >= number:
        rows = evenly_spaced(np.arange(len(evaluation.split.index)), number)
        return _readable(evaluation.split.data.images, rows)[0], evaluation.split.name
    synthetic = read_dataset(_SYNTHETIC.replace(num_train=number, size=side, color=not is_gray(run)))
    return synthetic.images[:], "synthetic faces"


def evenly_spaced(rows: np.ndarray, number: int) -> np.ndarray:
    """Return ``number`` evenly spaced elements of ``rows``, or all if there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]


def strip_folders(value: Any) -> Any:
    """Return nested values with paths reduced to file names, so that an export contains no local folders."""
    if isinstance(value, dict):
        named = {key: strip_folder(inner) for key, inner in value.items()
                 if key in PATH_KEYS and isinstance(inner, str)}  # fmt: skip
        return {key: named[key] if key in named else strip_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strip_folders(inner) for inner in value]
    is_path = isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~"))
    return strip_folder(value) if is_path else value


def strip_folder(path: str) -> str:
    """Return the last part of a path of Linux or Windows, keeping quotes around it and Hydra's escapes."""
    return re.sub(rf"[^'\"]*{_SEPARATOR}", "", re.sub(r"[/\\]+(?=['\"]?$)", "", path))
