"""Read image folders: one per emotion, or a list of labels, for train, test and val or at the top level."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import canonical_name
from fer.core.paths import expand_user, list_names
from fer.core.text import counted
from fer.data.dataset import ROLES, EmotionData
from fer.data.file_list import join, list_files, subfolders
from fer.data.groups import AUTO
from fer.data.image_files import SUFFIXES, ImageFiles
from fer.data.readers import image_list
from fer.data.readers.label_names import label_space, numbered_emotions

# In lower case, letters only, without a suffix such as _set.
_ROLE_OF_FOLDER = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "publictest": "val", "test": "test", "testing": "test", "privatetest": "test",
}  # fmt: skip
_EXPECTED = "a folder with train/ and test/, or with a folder for each emotion"
# The folder of the only split, where the dataset has no train, val or test folders.
_UNSPLIT = "."
# Folders that a folder of the data set may be inside of.
_MAX_DEPTH = 3


def read_folder(
    path: str | Path,
    size: int,
    color: bool = False,
    labels: Sequence[str] | None = None,
    group: str = AUTO,
) -> EmotionData:
    """List the images of a folder without opening them.

    ``path`` has folders ``train``, ``test`` and ``val``, under these names or similar ones (Training,
    PublicTest, validation, …), each with a folder per emotion. Or it has the emotion folders directly; then
    all images are training images. An emotion may be spelt in any way that
    `fer.core.labels.canonical_name` accepts. Images may be in subfolders of their emotion at any depth.

    Without emotion folders, the emotions are in a list of images: ``metadata.csv``, ``.jsonl`` or
    ``.parquet`` (`fer.data.readers.image_list`) in each split folder, or at the top level with a column for
    the split, or as ``train.csv`` and ``test.csv``; ``path`` may also be the list. If ``path`` only contains
    the folder of the data set, that one is read.

    ``labels`` gives the label space. Without it, the label space is `FER7`, or `FERPLUS8` if there is a
    folder for contempt; an emotion without a folder keeps its class number.

    Args:
        path: The folder.
        size: Side of the decoded images, in pixels.
        color: Decode as RGB; otherwise gray.
        labels: Emotions in the order of their class numbers. Required if the folders are named by numbers,
            because datasets number emotions differently: see
            `fer.data.readers.label_names.numbered_emotions`.
        group: Column of a list that names the person or video of each image; see `fer.data.groups`.

    Returns:
        Data whose images are `ImageFiles`, sorted by split, class folder and path, or in the order of the
        lists.

    Raises:
        FerError: There is no such folder, it has no images, a folder name is not an emotion, or ``labels`` is
            missing for numbered folders or of another length.
    """
    root = expand_user(path).absolute()
    if root.is_file() and root.name.lower().endswith(image_list.SUFFIXES):
        return _read_lists(root.parent, [root], {}, size, color, labels, group)
    root = _find_root(root)
    splits = _find_splits(root)
    if tables := _find_lists(root, splits):
        return _read_lists(root, tables, splits, size, color, labels, group)
    classes = {split: subfolders(root / split, _EXPECTED) for split in splits.values()}
    _check_class_folders(root, classes)
    emotions = _emotions(root, {name for names in classes.values() for name in names}, labels)
    space = label_space(emotions.values(), labels)
    class_folders = [(split, name) for split, names in classes.items() for name in names]
    lists = [
        list_files(root, name if split == _UNSPLIT else f"{split}/{name}") for split, name in class_folders
    ]
    counts = [len(files) for files in lists]
    if not sum(counts):
        raise FerError(f"{root}: expected images in its folders, but there are none. Check datamodule.path.")
    names = list(splits.values())
    filled = {split for (split, _), count in zip(class_folders, counts, strict=True) if count}
    return EmotionData(
        images=ImageFiles(join(lists), size, color),
        targets=np.repeat(
            np.array([space.index(emotions[name]) for _, name in class_folders], np.int64), counts
        ),
        split=np.repeat(np.array([names.index(split) for split, _ in class_folders], np.uint8), counts),
        split_names=tuple("all" if name == _UNSPLIT else name for name in names),
        roles={role: "all" if name == _UNSPLIT else name for role, name in splits.items() if name in filled},
        labels=space,
        source=str(root),
    )


def _role(folder: str) -> str | None:
    """Return the role of a folder or a list by its name, e.g. of ``Training`` or ``test_set``."""
    letters = re.sub("[^a-z]", "", folder.lower())
    return _ROLE_OF_FOLDER.get(re.sub("(set|data|images|faces|labels)$", "", letters))


def _is_class(folder: str) -> bool:
    """Return whether a folder name is an emotion or a number."""
    try:
        canonical_name(folder)
    except FerError:
        return folder.isascii() and folder.isdigit()
    return True


def _find_root(root: Path) -> Path:
    """Return the folder of the data set: ``root``, or the only folder in it that looks like one.

    Raises:
        FerError: There are several.
    """
    found = _roots(root, subfolders(root, _EXPECTED), _MAX_DEPTH)
    if len(found) > 1:
        raise FerError(
            f"{root}: expected {_EXPECTED}, got several that look like data sets: "
            f"{', '.join(str(path.relative_to(root)) for path in found)}. Give one: "
            f"datamodule.path={found[0]}"
        )
    return found[0] if found else root


def _roots(folder: Path, folders: Sequence[str], depth: int) -> list[Path]:
    """Return the nearest folders that contain splits, emotions or a list of images."""
    if any(_role(name) or _is_class(name) for name in folders) or image_list.find_lists(folder):
        return [folder]
    if not depth:
        return []
    inner = [(folder / name, subfolders(folder / name, _EXPECTED)) for name in folders]
    return [root for path, names in inner for root in _roots(path, names, depth - 1)]


def _find_splits(root: Path) -> dict[str, str]:
    """Return role -> folder, in the order train, val, test; without split folders all images are train."""
    folders = subfolders(root, _EXPECTED)
    matches = [(role, name) for name in folders if (role := _role(name))]
    if not matches:
        return {"train": _UNSPLIT}
    splits = dict(matches)
    others = [name for name in folders if not _role(name)]
    if others or len(splits) < len(matches):
        raise FerError(
            f"{root}: expected train, test and at most one of val, valid and validation, got "
            f"{', '.join(folders)}. Rename or remove the other folders."
        )
    return {role: splits[role] for role in ROLES if role in splits}


def _find_lists(root: Path, splits: dict[str, str]) -> list[Path]:
    """Return the lists of images; none if there are emotion folders."""
    folders = [root / split for split in splits.values()]
    unsplit = _UNSPLIT in splits.values()
    if any(_is_class(name) for folder in folders for name in subfolders(folder, _EXPECTED)):
        return []
    in_splits = [lists[0] for folder in folders if (lists := image_list.find_lists(folder))]
    return in_splits if in_splits and not unsplit else _top_lists(image_list.find_lists(root))


def _top_lists(lists: list[Path]) -> list[Path]:
    """Return the lists that are used: those named after a role, such as ``train.csv``, or the first."""
    by_role = [path for path in lists if _role(path.stem)]
    return by_role or lists[:1]


def _read_lists(
    root: Path,
    lists: Sequence[Path],
    splits: dict[str, str],
    size: int,
    color: bool,
    labels: Sequence[str] | None,
    group: str,
) -> EmotionData:
    """Return the images of lists, in their order."""
    listed = [
        (path, path.parent.relative_to(root).as_posix(), row)
        for path in lists
        for row in image_list.read_list(path, group)
    ]
    rows = [row for _, _, row in listed]
    names = [_split_of(path, folder, row.split, splits) for path, folder, row in listed]
    role_of = {name: _role(name) or "train" for name in names}
    roles = {role_of[name]: name for name in role_of}
    if len(roles) < len(role_of):
        raise FerError(
            f"{lists[0]}: expected one split each for train, val and test, got {', '.join(role_of)}. Rename "
            "or remove the others."
        )
    emotions = image_list.emotions_of(lists[0], [row.label for row in rows], labels)
    space = label_space(emotions.values(), labels)
    order = [roles[role] for role in ROLES if role in roles]
    has_groups = any(image_list.has_group_column(path, group) for path in lists)
    return EmotionData(
        images=ImageFiles(
            image_list.locate_files(root, [(folder, row) for _, folder, row in listed]), size, color
        ),
        targets=np.array([space.index(emotions[row.label]) for row in rows], np.int64),
        split=np.array([order.index(name) for name in names], np.uint8),
        split_names=tuple(order),
        roles={role: roles[role] for role in ROLES if role in roles},
        labels=space,
        source=str(root),
        groups=image_list.groups_of(rows) if has_groups else None,
    )


def _split_of(path: Path, folder: str, value: str, splits: dict[str, str]) -> str:
    """Return the published name of the split of a row: of its folder, its column, or its list."""
    if folder in splits.values() and folder != _UNSPLIT:
        return folder
    if value:
        if _role(value) is None:
            raise FerError(f"{path}: expected the splits train, val and test, got {value!r}. Rename it.")
        return value
    return path.stem if _role(path.stem) else "all"


def _check_class_folders(root: Path, classes: dict[str, list[str]]) -> None:
    """Raise FerError where the images are not in emotion folders, and say what was seen."""
    folders = {name.lower() for names in classes.values() for name in names}
    if folders and folders <= {"images", "labels", "annotations"}:
        advice = (
            "If the annotations are N_exp.npy files, this is AffectNet: datamodule=affectnet. Otherwise "
            "write a metadata.csv (columns file_name, label) into each part."
        )
        raise FerError(
            f"{root}: expected {_EXPECTED}, got the folders {', '.join(sorted(folders))}. {advice}"
        )
    if not folders:
        files = [name for split in classes for name in list_names(root / split)]
        count = sum(name.lower().endswith(SUFFIXES) for name in files)
        for table in (root / split / name for split in classes for name in list_names(root / split)):
            if image_list.has_pixels(table):
                raise FerError(
                    f"{root}: expected {_EXPECTED}, got {table.name}, which contains the pixels of its "
                    f"images. Read it with datamodule=fer2013 datamodule.path={table}"
                )
        tables = [name for name in files if name.lower().endswith(image_list.SUFFIXES)]
        seen = f"{counted(count, 'image')} in no such folder" if count else "no folders"
        seen += f" and {tables[0]}, which has no columns for file and emotion" if tables else ""
        advice = "Move each image to a folder of its emotion, or list them in metadata.csv with the columns "
        advice = f"{advice}file_name and label." if count or tables else "Check datamodule.path."
        raise FerError(f"{root}: expected {_EXPECTED}, got {seen}. {advice}")


def _emotions(root: Path, folders: Iterable[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Return class folder -> emotion.

    Raises:
        FerError: A folder name is not an emotion, or the names are numbers and ``labels`` does not match
            them.
    """
    names = sorted(folders)
    if not all(name.isascii() and name.isdigit() for name in names):
        return {name: _emotion(root, name) for name in names}
    return numbered_emotions(str(root), names, labels, "folders named after emotions")


def _emotion(root: Path, folder: str) -> str:
    try:
        return canonical_name(folder)
    except FerError as error:
        raise FerError(f"{root}, folder {folder}: {error} Rename the folder, or move it elsewhere.") from None
