"""Read the basic emotions of RAF-DB (Li et al. 2017, https://doi.org/10.1109/CVPR.2017.277)."""

import os
from pathlib import Path

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import RAFDB7
from fer.core.paths import expand_user
from fer.data.dataset import EmotionData
from fer.data.file_list import FileList, list_files
from fer.data.image_files import ImageFiles
from fer.data.readers.text_files import open_text

# The spelling is that of the authors.
_LIST = "list_patition_label.txt"
_LAYOUTS = ((".", "aligned"), ("EmoLabel", "Image/aligned"))
_EXPECTED = f"RAF-DB's list {_LIST} (lines like 'train_00001.jpg 5')"
_SPLITS = ("train", "test")


def read_rafdb(path: str | Path, size: int, color: bool = True) -> EmotionData:
    """List the aligned images of RAF-DB in its official layout without opening them.

    ``path`` is the unpacked ``basic`` folder or its parent. It contains ``list_patition_label.txt`` and
    ``aligned/``, or ``EmoLabel/`` with the list and ``Image/aligned/``. The list numbers emotions from 1
    (surprise) to 7 (neutral). The image of ``train_00001.jpg`` is ``train_00001_aligned.jpg``. There is no
    validation split.

    Args:
        path: The folder.
        size: Side of the decoded images, in pixels; the files have 100.
        color: Decode as RGB; otherwise gray.

    Returns:
        Data whose images are `ImageFiles` in the order of the list, including files that do not exist.

    Raises:
        FerError: The list is missing, or one of its lines is invalid.
    """
    root = expand_user(path).absolute()
    list_path, folder = _find_list_and_images(root)
    rows = _read_list(list_path)
    names = [f"{folder}/{Path(name).stem}_aligned.jpg" for name, _ in rows]
    return EmotionData(
        images=ImageFiles(
            _list_aligned(root, folder).lookup([os.fsencode(name) for name in names]), size, color
        ),
        targets=np.array([label - 1 for _, label in rows], np.int64),
        split=np.array([_SPLITS.index(name.partition("_")[0]) for name, _ in rows], np.uint8),
        split_names=_SPLITS,
        roles={split: split for split in _SPLITS if any(name.startswith(split) for name, _ in rows)},
        labels=RAFDB7,
        source=str(root),
    )


def _find_list_and_images(root: Path) -> tuple[Path, str]:
    """Return the path of the list, and the folder of the aligned images relative to ``root``."""
    for prefix in ("", "basic/"):
        for list_folder, image_folder in _LAYOUTS:
            if (file := root / prefix / list_folder / _LIST).is_file():
                return file, prefix + image_folder
    return root / _LIST, "aligned"


def _list_aligned(root: Path, folder: str) -> FileList:
    if not (root / folder).is_dir():
        raise FerError(f"{root / folder}: expected RAF-DB's aligned images, but there is no such folder.")
    return list_files(root, folder)


def _read_list(path: Path) -> list[tuple[str, int]]:
    """Return the file names in the list with their labels, 1 to 7."""
    with open_text(path, _EXPECTED) as file:
        lines = enumerate(file.read().decode("utf-8", errors="replace").splitlines(), 1)
        return [_parse_line(path, number, line) for number, line in lines if line.strip()]


def _parse_line(path: Path, number: int, line: str) -> tuple[str, int]:
    fields = line.split()
    has_name = len(fields) == 2 and fields[0].startswith(("train_", "test_"))
    if not has_name or fields[1] not in map(str, range(1, len(RAFDB7) + 1)):
        raise FerError(
            f"{path}, line {number}: expected a line like 'train_00001.jpg 5' with an emotion from 1 to 7, "
            f"got {line[:60]!r}. Unpack the file again."
        )
    return fields[0], int(fields[1])
