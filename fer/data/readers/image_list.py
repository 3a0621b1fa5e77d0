"""Read image folders whose emotions are in a list: CSV, JSON Lines or Parquet, one row per image."""

import csv
import importlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import canonical_name
from fer.core.paths import list_names
from fer.data.file_list import FileList, list_files
from fer.data.groups import AUTO, COLUMNS
from fer.data.readers.label_names import numbered_emotions
from fer.data.readers.text_files import open_text

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
# Names of the columns, in lower case; the first that is present is used.
_FILE = (
    "file_name", "filename", "file", "path", "filepath", "file_path", "pth", "image_path", "img_path",
    "image", "img", "image_name", "image name", "subdirectory_filepath", "number", "name", "id",
)  # fmt: skip
_LABEL = (
    "label", "emotion", "expression", "labels", "emotion_label", "label_name", "class", "class_name",
    "target", "category",
)  # fmt: skip
_SPLIT = ("split", "usage", "partition", "subset", "set")
_EXPECTED = (
    "a list of images with a column for the file (file_name, path, file, number, …) and one for the emotion "
    "(label, emotion, expression, …)"
)


class Row(NamedTuple):
    """A line of a list.

    Attributes:
        file: Path or number of the image.
        label: Name or number of its emotion.
        split: Value of the column of splits, or ``""``.
        group: Value of the column of groups, or ``""``.
    """

    file: str
    label: str
    split: str
    group: str


def find_lists(folder: Path) -> list[Path]:
    """Return the lists of images in a folder, those called ``metadata`` first."""
    names = [name for name in list_names(folder) if name.lower().endswith(SUFFIXES) and name[0] != "."]
    names.sort(key=lambda name: not name.lower().startswith("metadata"))
    return [folder / name for name in names if _is_list(folder / name)]


def _is_list(path: Path) -> bool:
    try:
        columns = [name.lower().strip() for name in _read_columns(path)]
    except FerError:
        # Of a Parquet file it says which package is missing.
        if path.suffix.lower() == ".parquet":
            raise
        return False
    except (OSError, ValueError):
        return False
    return "pixels" not in columns and None not in (_pick(columns, _FILE), _pick(columns, _LABEL))


def has_pixels(path: Path) -> bool:
    """Return whether a file is a CSV file in the layout of FER2013."""
    if path.suffix.lower() != ".csv":
        return False
    try:
        return "pixels" in [name.lower().strip() for name in _read_columns(path)]
    except (FerError, OSError, ValueError):
        return False


def read_list(path: Path, group: str = AUTO) -> list[Row]:
    """Return the rows of a list.

    Args:
        path: The file; its suffix says what it is.
        group: Name of the column of groups, or ``auto`` for one of `fer.data.groups.COLUMNS`.

    Raises:
        FerError: The file cannot be read, or has no columns for files and emotions.
    """
    columns, records = _read_records(path)
    lower = {name.lower().strip(): name for name in columns}
    file, label = (_pick(list(lower), names) for names in (_FILE, _LABEL))
    if file is None or label is None:
        raise FerError(f"{path}: expected {_EXPECTED}, got the columns {', '.join(columns)}. Rename them.")
    split, groups = _pick(list(lower), _SPLIT), _group_column(list(lower), group)
    if records and isinstance(records[0].get(lower[file]), dict):
        raise FerError(
            f"{path}: expected {_EXPECTED}, got a Parquet file that contains the images themselves. "
            "Save them as files in a folder for each emotion."
        )

    def value(record: dict[str, Any], column: str | None) -> str:
        content = None if column is None else record.get(lower[column])
        # A number column with gaps is read as floats.
        whole = isinstance(content, float) and content.is_integer()
        return "" if content is None else str(int(content) if whole else content).strip()

    rows = [
        Row(value(one, file), value(one, label), value(one, split), value(one, groups)) for one in records
    ]
    if not rows:
        raise FerError(f"{path}: expected {_EXPECTED}, got no rows. Download it again.")
    return rows


def has_group_column(path: Path, group: str) -> bool:
    """Return whether a list has the column of groups that `read_list` would use."""
    return _group_column([name.lower().strip() for name in _read_columns(path)], group) is not None


def _group_column(columns: Sequence[str], group: str) -> str | None:
    if group == AUTO:
        return _pick(columns, COLUMNS)
    return group.lower() if group.lower() in columns else None


def _pick(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _read_columns(path: Path) -> list[str]:
    if path.suffix.lower() == ".parquet":
        return list(_parquet().read_schema(path).names)
    if path.suffix.lower() == ".jsonl":
        with open_text(path, _EXPECTED) as file:
            first = json.loads(file.readline())
        return list(first) if isinstance(first, dict) else []
    with open_text(path, _EXPECTED) as file:
        return next(
            csv.reader(TextIOWrapper(file, "utf-8", errors="replace", newline=""), _dialect(path)), []
        )


def _read_records(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns, and a mapping of column to value for each row."""
    try:
        if path.suffix.lower() == ".parquet":
            table = _parquet().read_table(path)
            return list(table.column_names), table.to_pylist()
        with open_text(path, _EXPECTED) as file:
            text = TextIOWrapper(file, "utf-8", errors="replace", newline="")
            if path.suffix.lower() == ".jsonl":
                records = [json.loads(line) for line in text if line.strip()]
                return list(records[0]) if records else [], records
            reader = csv.DictReader(text, dialect=_dialect(path))
            rows = [{key: content for key, content in row.items() if key} for row in reader]
            return list(reader.fieldnames or []), rows
    except (csv.Error, OSError, ValueError, TypeError) as error:
        raise FerError(f"{path}: expected {_EXPECTED}, but it cannot be read: {error}.") from None


def _dialect(path: Path) -> str:
    return "excel-tab" if path.suffix.lower() == ".tsv" else "excel"


def _parquet() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise FerError(
            "datamodule.path: a list in Parquet format needs the package pyarrow. Install it "
            "(uv pip install pyarrow), or save the list as metadata.csv."
        ) from None


def locate_files(root: Path, rows: Sequence[tuple[str, Row]]) -> FileList:
    """Return the images of rows, in their order; files that do not exist are marked as `ABSENT`.

    A row names a path relative to the folder of its list or to ``root``, a file name, or only a name without
    folder and suffix (such as a number).

    Args:
        root: The folder of the data set.
        rows: Folder of the list, relative to ``root``, and row.
    """
    files = list_files(root, ".")
    files = replace(files, names=np.array([name[2:] for name in files.names.tolist()], np.bytes_))
    names = [os.fsdecode(name) for name in files.names.tolist()]
    paths = {name: name for name in names}
    base = _unique((PurePosixPath(name).name, name) for name in names)
    stems = _unique((PurePosixPath(name).stem, name) for name in names if not name.lower().endswith(SUFFIXES))
    found = []
    for list_folder, row in rows:
        name = row.file.replace("\\", "/").lstrip("/")
        relative = str(PurePosixPath(list_folder) / name)
        tail = PurePosixPath(name).name
        options = (paths.get(relative), paths.get(str(PurePosixPath(name))), base.get(tail), stems.get(tail))
        found.append(next(filter(None, options), relative))
    return files.lookup([os.fsencode(name) for name in found])


def _unique(pairs: Any) -> dict[str, str]:
    """Return key -> value of the pairs whose key occurs once."""
    pairs = list(pairs)
    counts = Counter(key for key, _ in pairs)
    return {key: value for key, value in pairs if counts[key] == 1}


def emotions_of(path: Path, values: Sequence[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Return value of the column of emotions -> emotion.

    Raises:
        FerError: A value is not an emotion, or the values are numbers and ``labels`` does not name them.
    """
    distinct = sorted(set(values))
    if not all(value.isascii() and value.isdigit() for value in distinct):
        try:
            return {value: canonical_name(value) for value in distinct}
        except FerError as error:
            raise FerError(f"{path}: {error} Correct the list.") from None
    return numbered_emotions(str(path), distinct, labels, "emotions as names")


def groups_of(rows: Sequence[Row]) -> np.ndarray:
    """Return the group of each row, str ``(N,)``."""
    return np.array([row.group for row in rows], dtype=np.str_)
