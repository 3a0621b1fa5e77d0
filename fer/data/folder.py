"""Reader of image folders: one for each emotion, in train, test and perhaps val, or these alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fer.data.dataset import ROLES, EmotionData
from fer.data.file_list import join, scan, subfolders
from fer.data.pictures import ImageFiles
from fer.errors import FerError
from fer.labels import FER7, FERPLUS8, SPACES, LabelSpace, canonical
from fer.places import at_home

_ROLE_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_EXPECTED = "a folder that holds train/ and test/, or a folder for each emotion"
_WHOLE = "."  # the part of a set that is not divided


def read_folder(
    path: str | Path, size: int, color: bool = False, labels: Sequence[str] | None = None
) -> EmotionData:
    """List the pictures of a folder; none is opened.

    ``path`` holds ``train`` and perhaps ``test`` and one of ``val``, ``valid`` and ``validation``, each with
    a folder for each emotion; or it holds these alone, and all pictures train. Emotions may be spelt in any
    way that `fer.labels.canonical` knows. Pictures may lie at any depth below their emotion.

    The label space is that of ``labels`` where it is given. Else it is `FER7` where that has all the
    emotions, and with contempt `FERPLUS8`; an emotion without a folder keeps its class number.

    Args:
        path: The folder.
        size: Side at which the pictures are held, in pixels.
        color: RGB, else gray.
        labels: Emotions in the order of their class numbers. Folders named by numbers need it, since sets
            count differently: the lowest number is the first emotion, and each emotion has a folder.

    Returns:
        Images are `ImageFiles`, sorted by part, class folder and path.

    Raises:
        FerError: No folder, no pictures, a folder that names no emotion, numbers without ``labels`` or not as
            many, or training pictures of less than two emotions.
    """
    root = at_home(path).absolute()
    if labels is not None and not all(isinstance(label, str) for label in labels):
        raise FerError(f"datamodule.labels: expected names of emotions, got {list(labels)}.")
    parts = _find_parts(root)
    classes = {part: subfolders(root / part, _EXPECTED) for part in parts.values()}
    emotions = _emotions(root, {name for names in classes.values() for name in names}, labels)
    space = _space(emotions.values(), labels)
    places = [(part, name) for part, names in classes.items() for name in names]
    lists = [scan(root, name if part == _WHOLE else f"{part}/{name}") for part, name in places]
    counts = [len(files) for files in lists]
    if not sum(counts):
        raise FerError(
            f"{root}: expected pictures in its folders, but there are none. Check datamodule.path."
        )
    names = list(parts.values())
    filled = {part for (part, _), count in zip(places, counts, strict=True) if count} | {parts["train"]}
    data = EmotionData(
        images=ImageFiles(join(lists), size, color),
        targets=np.repeat(np.array([space.index(emotions[name]) for _, name in places], np.int64), counts),
        split=np.repeat(np.array([names.index(part) for part, _ in places], np.uint8), counts),
        split_names=tuple("all" if name == _WHOLE else name for name in names),
        roles={role: "all" if name == _WHOLE else name for role, name in parts.items() if name in filled},
        labels=space,
        source=str(root),
    )
    check_emotions(data)
    return data


def _find_parts(root: Path) -> dict[str, str]:
    """Return role -> folder, in the order train, val, test; all is train where there are no such folders."""
    folders = subfolders(root, _EXPECTED)
    found = [(_ROLE_OF[name.lower()], name) for name in folders if name.lower() in _ROLE_OF]
    if not found:
        if not folders:
            raise FerError(f"{root}: expected {_EXPECTED}, got no folders. Check datamodule.path.")
        return {"train": _WHOLE}
    parts = dict(found)
    others = [name for name in folders if name.lower() not in _ROLE_OF]
    if others or len(parts) < len(found) or "train" not in parts:
        raise FerError(
            f"{root}: expected train, test and at most one of val, valid and validation, got "
            f"{', '.join(folders)}. Rename or remove what does not belong there."
        )
    return {role: parts[role] for role in ROLES if role in parts}


def _emotions(root: Path, folders: Iterable[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Return class folder -> emotion.

    Raises:
        FerError: A folder names no emotion; or numbers do, and ``labels`` does not say which.
    """
    names = sorted(folders)
    if not all(name.isascii() and name.isdigit() for name in names):
        return {name: _emotion(root, name) for name in names}
    if labels is None:
        raise FerError(
            f"{root}: the folders are numbers ({', '.join(names)}), and sets count differently. Say which "
            "emotions they are, from the lowest on: datamodule.labels=[angry,disgust,…]"
        )
    if len(labels) != len(names):
        raise FerError(
            f"{root}: expected a folder for each of datamodule.labels={list(labels)}, got "
            f"{', '.join(names)}. Name an emotion for each folder, from the lowest number on."
        )
    return dict(zip(sorted(names, key=int), map(canonical, labels), strict=True))


def _emotion(root: Path, folder: str) -> str:
    try:
        return canonical(folder)
    except FerError as error:
        raise FerError(f"{root}, folder {folder}: {error} Rename, or move it elsewhere.") from None


def _space(emotions: Iterable[str], labels: Sequence[str] | None) -> LabelSpace:
    if labels is None:
        return FER7 if set(emotions) <= set(FER7.names) else FERPLUS8
    names = tuple(map(canonical, labels))
    if missing := sorted(set(emotions) - set(names)):
        raise FerError(f"datamodule.labels: expected {', '.join(missing)} too, since there is such a folder.")
    if len(set(names)) < len(names):
        raise FerError(f"datamodule.labels: expected different emotions, got {', '.join(names)}.")
    published = [space for space in SPACES.values() if space.names == names]
    return published[0] if published else LabelSpace("folder", names)


def check_emotions(data: EmotionData) -> None:
    """Refuse a training part that has nothing to learn.

    Raises:
        FerError: Its pictures show less than two emotions.
    """
    if "train" not in data.roles:
        raise FerError(f"{data.source}: expected training pictures, but there are none. Correct the list.")
    train = data.split == data.split_names.index(data.roles["train"])
    present = [data.labels.names[target] for target in np.unique(data.targets[train])]
    if len(present) < 2:
        raise FerError(
            f"{data.source}: expected training pictures of at least two emotions, got "
            f"{'only ' + present[0] if present else 'none'}. Use the whole set."
        )
