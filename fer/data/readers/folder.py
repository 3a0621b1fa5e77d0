"""Read image folders: one per emotion, inside train, test and optionally val folders or at the top level."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, SPACES, LabelSpace, canonical_name
from fer.core.paths import expand_user
from fer.data.dataset import ROLES, EmotionData
from fer.data.file_list import join, list_files, subfolders
from fer.data.image_files import ImageFiles
from fer.data.splits import check_training_classes

_ROLE_OF_FOLDER = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_EXPECTED = "a folder with train/ and test/, or with a folder for each emotion"
# The folder of the only split, where the dataset has no train, val or test folders.
_UNSPLIT = "."


def read_folder(
    path: str | Path, size: int, color: bool = False, labels: Sequence[str] | None = None
) -> EmotionData:
    """List the images of a folder without opening them.

    ``path`` has a ``train`` folder and optionally ``test`` and one of ``val``, ``valid`` and ``validation``,
    each with a folder per emotion. Or it has the emotion folders directly; then all images are training
    images. An emotion may be spelt in any way that `fer.core.labels.canonical_name` accepts. Images may be in
    subfolders of their emotion at any depth.

    ``labels`` gives the label space. Without it, the label space is `FER7`, or `FERPLUS8` if there is a
    folder for contempt; an emotion without a folder keeps its class number.

    Args:
        path: The folder.
        size: Side of the decoded images, in pixels.
        color: Decode as RGB; otherwise gray.
        labels: Emotions in the order of their class numbers. Required if the folders are named by numbers,
            because datasets number emotions differently: the lowest number is the first emotion, and each
            emotion has a folder.

    Returns:
        Data whose images are `ImageFiles`, sorted by split, class folder and path.

    Raises:
        FerError: There is no such folder, it has no images, a folder name is not an emotion, ``labels`` is
            missing for numbered folders or of another length, or train has fewer than two emotions.
    """
    root = expand_user(path).absolute()
    splits = _find_splits(root)
    classes = {split: subfolders(root / split, _EXPECTED) for split in splits.values()}
    emotions = _emotions(root, {name for names in classes.values() for name in names}, labels)
    space = _space(emotions.values(), labels)
    class_folders = [(split, name) for split, names in classes.items() for name in names]
    lists = [
        list_files(root, name if split == _UNSPLIT else f"{split}/{name}") for split, name in class_folders
    ]
    counts = [len(files) for files in lists]
    if not sum(counts):
        raise FerError(f"{root}: expected images in its folders, but there are none. Check datamodule.path.")
    names = list(splits.values())
    filled = {split for (split, _), count in zip(class_folders, counts, strict=True) if count}
    filled.add(splits["train"])
    data = EmotionData(
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
    check_training_classes(data)
    return data


def _find_splits(root: Path) -> dict[str, str]:
    """Return role -> folder, in the order train, val, test; without split folders all images are train."""
    folders = subfolders(root, _EXPECTED)
    matches = [(_ROLE_OF_FOLDER[name.lower()], name) for name in folders if name.lower() in _ROLE_OF_FOLDER]
    if not matches:
        if not folders:
            raise FerError(f"{root}: expected {_EXPECTED}, got no folders. Check datamodule.path.")
        return {"train": _UNSPLIT}
    splits = dict(matches)
    others = [name for name in folders if name.lower() not in _ROLE_OF_FOLDER]
    if others or len(splits) < len(matches) or "train" not in splits:
        raise FerError(
            f"{root}: expected train, test and at most one of val, valid and validation, got "
            f"{', '.join(folders)}. Rename or remove the other folders."
        )
    return {role: splits[role] for role in ROLES if role in splits}


def _emotions(root: Path, folders: Iterable[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Return class folder -> emotion.

    Raises:
        FerError: A folder name is not an emotion, or the names are numbers and ``labels`` does not match
            them.
    """
    names = sorted(folders)
    if not all(name.isascii() and name.isdigit() for name in names):
        return {name: _emotion(root, name) for name in names}
    if labels is None:
        raise FerError(
            f"{root}: expected folders named after emotions, got numbers ({', '.join(names)}), which mean "
            "different emotions in different datasets. Name the emotions in ascending order of the numbers: "
            "datamodule.labels=[angry,disgust,…]"
        )
    if len(labels) != len(names):
        raise FerError(
            f"{root}: expected a folder for each of datamodule.labels={list(labels)}, got "
            f"{', '.join(names)}. Name one emotion per folder, in ascending order of the numbers."
        )
    return dict(zip(sorted(names, key=int), map(canonical_name, labels), strict=True))


def _emotion(root: Path, folder: str) -> str:
    try:
        return canonical_name(folder)
    except FerError as error:
        raise FerError(f"{root}, folder {folder}: {error} Rename the folder, or move it elsewhere.") from None


def _space(emotions: Iterable[str], labels: Sequence[str] | None) -> LabelSpace:
    if labels is None:
        return FER7 if set(emotions) <= set(FER7.names) else FERPLUS8
    names = tuple(map(canonical_name, labels))
    if missing := sorted(set(emotions) - set(names)):
        raise FerError(
            f"datamodule.labels: expected {', '.join(missing)} too, because there is such a folder."
        )
    if len(set(names)) < len(names):
        raise FerError(f"datamodule.labels: expected different emotions, got {', '.join(names)}.")
    published = [space for space in SPACES.values() if space.names == names]
    return published[0] if published else LabelSpace("folder", names)
