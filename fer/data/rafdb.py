"""Reader of RAF-DB's basic emotions (Li et al. 2017, https://doi.org/10.1109/CVPR.2017.277)."""

import os
from pathlib import Path

import numpy as np

from fer.data.dataset import EmotionData
from fer.data.file_list import FileList, scan
from fer.data.files import open_text
from fer.data.folder import check_emotions
from fer.data.pictures import ImageFiles
from fer.errors import FerError
from fer.labels import RAFDB7
from fer.places import at_home

_LIST = "list_patition_label.txt"  # spelt so by its authors
_LAYOUTS = ((".", "aligned"), ("EmoLabel", "Image/aligned"))
_EXPECTED = f"RAF-DB's list {_LIST} (lines like 'train_00001.jpg 5')"
_SPLITS = ("train", "test")


def read_rafdb(path: str | Path, size: int, color: bool = True) -> EmotionData:
    """List the aligned pictures of RAF-DB in its official layout; none is opened.

    ``path`` holds ``list_patition_label.txt`` and ``aligned/``, or ``EmoLabel/`` with the list and
    ``Image/aligned/``, and is the unpacked ``basic`` folder or the one around it. The list counts emotions
    from 1, surprise, to 7, neutral; pictures are named after it, ``train_00001_aligned.jpg``. There is no
    validation part.

    Args:
        path: The folder.
        size: Side at which the pictures are held, in pixels; theirs is 100.
        color: RGB, else gray.

    Returns:
        Images are `ImageFiles` in the order of the list; files that the list names and that are not there are
        among them.

    Raises:
        FerError: There is no such list, a line of it is wrong, or it trains less than two emotions.
    """
    root = at_home(path).absolute()
    list_path, folder = _find(root)
    rows = _read_list(list_path)
    names = [f"{folder}/{Path(name).stem}_aligned.jpg" for name, _ in rows]
    data = EmotionData(
        images=ImageFiles(_aligned(root, folder).find([os.fsencode(name) for name in names]), size, color),
        targets=np.array([label - 1 for _, label in rows], np.int64),
        split=np.array([_SPLITS.index(name.partition("_")[0]) for name, _ in rows], np.uint8),
        split_names=_SPLITS,
        roles={part: part for part in _SPLITS if any(name.startswith(part) for name, _ in rows)},
        labels=RAFDB7,
        source=str(root),
    )
    check_emotions(data)
    return data


def _find(root: Path) -> tuple[Path, str]:
    """Return the list and the folder of the aligned pictures, the latter from ``root``."""
    for prefix in ("", "basic/"):
        for place, pictures in _LAYOUTS:
            if (file := root / prefix / place / _LIST).is_file():
                return file, prefix + pictures
    return root / _LIST, "aligned"


def _aligned(root: Path, folder: str) -> FileList:
    if not (root / folder).is_dir():
        raise FerError(f"{root / folder}: expected RAF-DB's aligned pictures, but there is no such folder.")
    return scan(root, folder)


def _read_list(path: Path) -> list[tuple[str, int]]:
    """Return the file names of the list with their labels, 1 to 7."""
    with open_text(path, _EXPECTED) as file:
        lines = enumerate(file.read().decode("utf-8", errors="replace").splitlines(), 1)
        return [_parse(path, number, line) for number, line in lines if line.strip()]


def _parse(path: Path, number: int, line: str) -> tuple[str, int]:
    fields = line.split()
    known = len(fields) == 2 and fields[0].startswith(("train_", "test_"))
    if not known or fields[1] not in map(str, range(1, len(RAFDB7) + 1)):
        raise FerError(
            f"{path}, line {number}: expected a line like 'train_00001.jpg 5' with an emotion from 1 to 7, "
            f"got {line[:60]!r}. Unpack the file again."
        )
    return fields[0], int(fields[1])
