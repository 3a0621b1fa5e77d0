"""Five landmarks per face (`fer.core.landmarks`): how files store them, and how they move with their image.

Coordinates are fractions of the image: ``(0, 0)`` is its upper left corner and ``(1, 1)`` its lower right
one. A face without landmarks has NaN.
"""

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from fer.core.errors import FerError
from fer.core.landmarks import NUM_POINTS
from fer.core.paths import expand_user

KEY = "datamodule.landmarks"
# Each point's place in a mirror image: left and right are exchanged.
MIRRORED = (1, 0, 2, 4, 3)
_FORM = "five points per row: x0,y0,…,x4,y4 as fractions of the image, empty without a face"
_COLUMNS = tuple(f"{axis}{point}" for point in range(NUM_POINTS) for axis in "xy")
# Coordinates beyond are not fractions. Points may lie outside of a tight crop.
_RANGE = (-1.0, 2.0)


def read_landmarks(path: str | Path, count: int, names: Sequence[str] | None = None) -> np.ndarray:
    """Return the landmarks of a CSV or NumPy file, float32 ``(count, 5, 2)``, NaN where a face has none.

    Args:
        path: A CSV file with the columns x0,y0,…,x4,y4, or a ``.npy`` file ``(N, 5, 2)`` or ``(N, 10)``, with
            a row for each image of the data set, in its order. A CSV file with a column ``image`` may have
            the rows in any order, and lack some.
        count: Images of the data set.
        names: Their paths within the folder of the data set; None if they are in one file.

    Raises:
        FerError: The file cannot be read, has another form, or belongs to other images.
    """
    path = expand_user(path)
    if path.is_dir() or not path.exists():
        got = "a folder" if path.is_dir() else "no such file"
        raise FerError(f"{KEY}: expected yunet, or a file with {_FORM}, got {str(path)!r} ({got}).")
    images, points = _read_csv(path) if path.suffix.lower() == ".csv" else ([], _read_npy(path))
    if images and names is not None:
        points = _by_name(path, images, points, names)
    if len(points) != count:
        raise FerError(
            f"{KEY}: {path}: expected a row for each of the {count:,} images of the data set, got "
            f"{len(points):,}. Use the landmarks of these images, or {KEY}=yunet."
        )
    found = points[np.isfinite(points).all((1, 2))]
    if not len(found):
        raise FerError(f"{KEY}: {path}: expected {_FORM}, got no row with all points.")
    if found.min() < _RANGE[0] or found.max() > _RANGE[1]:
        raise FerError(
            f"{KEY}: {path}: expected fractions of the image, about 0 to 1, got {found.min():g} to "
            f"{found.max():g}. Divide pixels by the side of the image."
        )
    return with_complete_faces(points)


def _by_name(path: Path, images: list[str], points: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the points of images by their names, float ``(len(names), 5, 2)``."""
    row_of = {PurePosixPath(name).as_posix(): row for row, name in enumerate(names)}
    rows = [row_of.get(PurePosixPath(image).as_posix(), -1) for image in images]
    if -1 in rows:
        raise FerError(
            f"{KEY}: {path}: expected images of the data set, such as {names[0]}, got "
            f"{images[rows.index(-1)]!r} and {rows.count(-1) - 1:,} others. Use the landmarks of these "
            f"images, or {KEY}=yunet."
        )
    result = np.full((len(names), NUM_POINTS, 2), np.nan)
    result[rows] = points
    return result


def with_complete_faces(points: np.ndarray) -> np.ndarray:
    """Return points ``(N, 5, 2)`` as float32; a face of which one is missing has none."""
    complete = np.isfinite(points).all((1, 2), keepdims=True)
    return np.where(complete, points, np.nan).astype(np.float32)


def _read_npy(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FerError(f"{KEY}: {path}: expected a CSV or NumPy file with {_FORM} ({error}).") from None
    shape = getattr(values, "shape", ())
    is_number = getattr(values, "dtype", np.dtype(object)).kind in "fiu"
    if not is_number or shape[1:] not in ((NUM_POINTS, 2), (2 * NUM_POINTS,)):
        got = f"{values.dtype} {shape}" if shape else type(values).__name__
        raise FerError(f"{KEY}: {path}: expected an array (N, 5, 2) or (N, 10) of fractions, got {got}.")
    return values.reshape(-1, NUM_POINTS, 2).astype(np.float64)


def _read_csv(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the column ``image``, empty if there is none, and the points."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            if missing := [name for name in _COLUMNS if name not in reader.fieldnames]:
                raise FerError(
                    f"{KEY}: {path}: expected the columns {','.join(_COLUMNS)}, got none called "
                    f"{missing[0]!r}."
                )
            images, values = [], []
            for row in reader:
                values.append([_number(row[name], path, reader.line_num) for name in _COLUMNS])
                images += [row["image"].strip()] if row.get("image") else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FerError(f"{KEY}: {path}: expected a CSV file with {_FORM} ({error}).") from None
    return images, np.array(values, np.float64).reshape(-1, NUM_POINTS, 2)


def _number(text: str | None, path: Path, line: int) -> float:
    try:
        return float(text) if text and text.strip() else np.nan
    except ValueError:
        raise FerError(f"{KEY}: {path}, line {line}: expected a number, got {text!r}.") from None


def move_landmarks(points: Tensor, matrices: Tensor) -> Tensor:
    """Return where the landmarks of images are after `fer.data.augment.warp`.

    In a mirror image the left eye is the right one: the points are exchanged, so that the first is always
    the eye on the left.

    Args:
        points: ``(B, 5, 2)``, fractions of the image.
        matrices: ``(B, 2, 3)``, from output to input coordinates, both in [-1, 1], as `warp` takes them.

    Returns:
        ``(B, 5, 2)``, fractions of the warped image.
    """
    offsets = (2 * points - 1) - matrices[:, None, :, 2]
    (a, b), (c, d) = matrices[:, 0, :2].unbind(1), matrices[:, 1, :2].unbind(1)
    determinant = (a * d - b * c)[:, None]
    x, y = offsets.unbind(2)
    moved = torch.stack(
        [(d[:, None] * x - b[:, None] * y), (a[:, None] * y - c[:, None] * x)], 2
    ) / determinant.unsqueeze(2)
    mirrored = moved[:, list(MIRRORED)]
    return (torch.where(determinant.unsqueeze(2) < 0, mirrored, moved) + 1) / 2
