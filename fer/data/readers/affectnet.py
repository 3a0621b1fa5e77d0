"""Read AffectNet's manual annotations (Mollahosseini et al. 2017, https://arxiv.org/abs/1708.03985)."""

import csv
import os
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import AFFECTNET8
from fer.core.paths import expand_user
from fer.data.dataset import EmotionData
from fer.data.file_list import ABSENT, join, list_files
from fer.data.image_files import ImageFiles
from fer.data.readers.text_files import open_text

_COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
_BOX = _COLUMNS[1:5]
_LISTS = {"train": "training.csv", "val": "validation.csv"}
_LIST_FOLDERS = (".", "Manually_Annotated_file_lists")
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated",
)
_SPLIT_FOLDERS = {"train": "train_set", "val": "val_set"}
# The eight emotions, then none, uncertain and no face.
_NUM_EXPRESSIONS = 11
_NO_EMOTION = "no emotion (none, uncertain or no face)"


class _Row(NamedTuple):
    name: str  # path relative to the root
    expression: int  # 0 to 10
    box: tuple[int, int, int, int]  # left, top, width, height in pixels; zeros without a face box


def read_affectnet(path: str | Path, size: int, color: bool = True) -> EmotionData:
    """List AffectNet's images, in either of the layouts that its authors published, without opening them.

    - Lists: ``training.csv`` and ``validation.csv`` are in ``path`` or ``Manually_Annotated_file_lists``, the
      images in ``Manually_Annotated_Images``, which may be inside ``Manually_Annotated``. Each image is
      cropped to its listed face box. A list without a header has its columns in the published order.
    - Annotation folders: ``train_set/images/N.jpg`` with ``train_set/annotations/N_exp.npy``, and the same in
      ``val_set``.

    Expressions 8 (none), 9 (uncertain) and 10 (no face) are not emotions; such images are dropped and
    counted. The authors have not published the test split. Papers report on validation, which has the role
    val here and selects the checkpoint.

    Args:
        path: The folder.
        size: Side of the decoded images, in pixels.
        color: Decode as RGB; otherwise gray.

    Returns:
        Data whose images are `ImageFiles` in the order of the lists, including files that do not exist.

    Raises:
        FerError: The lists or images are missing, or a line is invalid.
    """
    root = expand_user(path).absolute()
    has_annotations = any((root / name).is_dir() for name in _SPLIT_FOLDERS.values())
    read = _read_annotations if has_annotations else _read_lists
    folders, rows = read(root)
    listed = [(row, number) for number, split_rows in enumerate(rows.values()) for row in split_rows]
    labelled = [(row, number) for row, number in listed if row.expression < len(AFFECTNET8)]
    num_dropped = len(listed) - len(labelled)
    files = join([list_files(root, folder) for folder in folders])
    names = [os.fsencode(row.name) for row, _ in labelled]
    found = files.lookup(names)
    if has_annotations and (found.sizes == ABSENT).any():
        # Copies are also distributed with PNG images.
        by_stem = {_stem(name): name for name in files.names.tolist()}
        found = files.lookup([by_stem.get(_stem(name), name) for name in names])
    boxes = np.array([row.box for row, _ in labelled], np.int64).reshape(-1, 4)
    split_names = tuple(_LISTS[role].removesuffix(".csv") for role in rows)
    return EmotionData(
        images=ImageFiles(found, size, color, boxes if boxes.any() else None),
        targets=np.array([row.expression for row, _ in labelled], np.int64),
        split=np.array([number for _, number in labelled], np.uint8),
        split_names=split_names,
        roles=dict(zip(rows, split_names, strict=True)),
        labels=AFFECTNET8,
        source=str(root),
        dropped={_NO_EMOTION: num_dropped} if num_dropped else {},
    )


def _stem(name: bytes) -> bytes:
    return name.rpartition(b".")[0]


def _read_lists(root: Path) -> tuple[list[str], dict[str, list[_Row]]]:
    """Return the image folders, and the rows of the list of each role."""
    candidates = [root / name for name in _LIST_FOLDERS]
    with_lists = [one for one in candidates for name in _LISTS.values() if (one / name).is_file()]
    list_folder = next(iter(with_lists), root)
    folder = next((name for name in _IMAGE_FOLDERS if (root / name).is_dir()), ".")
    paths = {role: list_folder / name for role, name in _LISTS.items()}
    rows = {
        role: list(_read_list(path, folder))
        for role, path in paths.items()
        if path.is_file() or (role == "train" and not paths["val"].is_file())
    }
    return [folder], rows


def _read_list(path: Path, folder: str) -> Iterator[_Row]:
    expected = (
        f"AffectNet's list {path.name} (columns {', '.join(_COLUMNS)}), "
        f"or the folder {_SPLIT_FOLDERS['train']}/ next to it"
    )
    with open_text(path, expected) as file:
        reader = csv.reader(TextIOWrapper(file, "utf-8", errors="replace", newline=""))
        names: Sequence[str] = _COLUMNS
        try:
            for fields in reader:
                if reader.line_num == 1 and _COLUMNS[0] in fields:
                    names = fields
                elif fields:
                    yield _parse_row(path, reader.line_num, dict(zip(names, fields, strict=False)), folder)
        except csv.Error as error:
            raise FerError(
                f"{path}, line {reader.line_num}: expected {expected}, got a line that is not valid CSV "
                f"({error}). Check the lines before it for an extra quotation mark."
            ) from error


def _parse_row(path: Path, number: int, fields: dict[str, str], folder: str) -> _Row:
    try:
        expression, name = int(fields["expression"]), fields[_COLUMNS[0]].replace("\\", "/")
        if not 0 <= expression < _NUM_EXPRESSIONS:
            raise ValueError
    except (ValueError, KeyError):
        raise FerError(
            f"{path}, line {number}: expected {', '.join(_COLUMNS)} with an expression from 0 to 10, got "
            f"{','.join(fields.values())[:80]!r}. Unpack the file again."
        ) from None
    return _Row(f"{folder}/{name}", expression, _parse_box(fields))


def _parse_box(fields: dict[str, str]) -> tuple[int, int, int, int]:
    """Return the face box; zeros where the columns are not numbers, as in rows without a face."""
    try:
        left, top, width, height = (int(float(fields[name])) for name in _BOX)
    except (ValueError, KeyError, OverflowError):
        return 0, 0, 0, 0
    return left, top, width, height


def _read_annotations(root: Path) -> tuple[list[str], dict[str, list[_Row]]]:
    """Return the image folders, and a row for each ``N_exp.npy`` of each role."""
    folders = {role: name for role, name in _SPLIT_FOLDERS.items() if (root / name).is_dir()}
    rows = {role: list(_read_split_folder(root, name)) for role, name in folders.items()}
    return [f"{name}/images" for name in folders.values()], rows


def _read_split_folder(root: Path, split_folder: str) -> Iterator[_Row]:
    folder = root / split_folder / "annotations"
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith("_exp.npy"))
    except OSError as error:
        raise FerError(f"{folder}: expected AffectNet's annotations (N_exp.npy): {error.strerror}.") from None
    for name in names:
        expression = _read_expression(folder / name)
        yield _Row(f"{split_folder}/images/{name.removesuffix('_exp.npy')}.jpg", expression, (0, 0, 0, 0))


def _read_expression(path: Path) -> int:
    try:
        content = path.read_bytes()
        start = 10 + int.from_bytes(content[8:10], "little")
        expression = int(np.frombuffer(content, _dtype(content[:start]), 1, start)[0])
    except (OSError, ValueError, IndexError) as error:
        raise FerError(f"{path}: expected a NumPy file with an expression from 0 to 10: {error}.") from None
    if not 0 <= expression < _NUM_EXPRESSIONS:
        raise FerError(
            f"{path}: expected an expression from 0 to 10, got {expression}. Unpack the file again."
        )
    return expression


@cache
def _dtype(header: bytes) -> np.dtype:
    """Return the dtype that a NumPy header declares; cached, since 300,000 files share a few headers."""
    file = BytesIO(header)
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)[2]
