"""The emotions: names, order, label spaces and the maps between them. The one source of truth.

Every set uses the same words in an order of its own, so a bare class number means nothing without its
`LabelSpace`. Spaces travel with every dataset, checkpoint and confusion matrix; two that differ are an error
(`check_same`), never a silent permutation. Numbers change from one space to another through `mapping` only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.errors import FerError, did_you_mean

# How the eight emotions are spelt on disk: folder names, column headings, other people's checkpoints.
ALIASES: dict[str, tuple[str, ...]] = {
    "angry": ("anger",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy"),
    "sad": ("sadness",),
    "surprise": ("surprised",),
    "neutral": ("neutrality",),
    "contempt": ("contemptuous",),
}
_EMOTION_OF = {word: emotion for emotion, others in ALIASES.items() for word in (emotion, *others)}


def canonical(name: str) -> str:
    """Return the project's word for an emotion as spelt on disk, e.g. ``"Happiness"`` -> ``"happy"``.

    Case and surrounding blanks do not count.

    Raises:
        FerError: The word names no known emotion.
    """
    word = name.strip().lower()
    if word not in _EMOTION_OF:
        known = ", ".join(ALIASES)
        hint = did_you_mean(word, _EMOTION_OF)
        raise FerError(f"Expected the name of an emotion ({known}), got {name!r}.{hint}")
    return _EMOTION_OF[word]


@dataclass(frozen=True)
class LabelSpace:
    """The emotions of a set, in the order of its class numbers.

    Attributes:
        name: Key in `SPACES`, or the name of a space of the user's own.
        names: Emotions, canonical words; the position is the class number, counted from 0.
    """

    name: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the class number (from 0) of an emotion, whatever its spelling on disk.

        Raises:
            FerError: The emotion is unknown, or this space does not hold it.
        """
        word = name.strip().lower()
        emotion = _EMOTION_OF.get(word, word)
        if emotion not in self.names:
            hint = did_you_mean(word, self.names)
            raise FerError(f"Label space {self.name} holds {', '.join(self.names)}, got {name!r}.{hint}")
        return self.names.index(emotion)


# Orders as published; a class number here is the number in the set's own files, RAF-DB's apart.
# FER2013, `emotion` column, 0 to 6 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414).
FER7 = LabelSpace("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))
# FER+, vote columns of fer2013new.csv from the third on, before `unknown` and `NF` (Barsoum et al. 2016,
# https://arxiv.org/abs/1608.01041).
FERPLUS8 = LabelSpace(
    "ferplus8", ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
)
# AffectNet, `expression`, 0 to 7; its 8 none, 9 uncertain and 10 no-face are no emotions (Mollahosseini et
# al. 2017, https://arxiv.org/abs/1708.03985).
AFFECTNET8 = LabelSpace(
    "affectnet8", ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
)
# RAF-DB basic, list_patition_label.txt counts from 1: 1 surprise ... 7 neutral, so subtract 1 (Li et al.
# 2017, https://doi.org/10.1109/CVPR.2017.277).
RAFDB7 = LabelSpace("rafdb7", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"))

SPACES: dict[str, LabelSpace] = {space.name: space for space in (FER7, FERPLUS8, AFFECTNET8, RAFDB7)}


def mapping(source: LabelSpace, target: LabelSpace) -> np.ndarray:
    """Return the class numbers of ``source`` in ``target``.

    Returns:
        int64 ``(len(source),)``: ``mapping(a, b)[targets_a]`` are the targets in ``b``; -1 where ``target``
        has no such emotion.
    """
    position = {name: i for i, name in enumerate(target.names)}
    return np.array([position.get(name, -1) for name in source.names], dtype=np.int64)


def map_votes(votes: np.ndarray, source: LabelSpace, target: LabelSpace) -> np.ndarray:
    """Return votes over the emotions of another space; those for emotions that it lacks are left out.

    Args:
        votes: float ``(N, len(source))``, shares.
        source: Their space.
        target: The other space.

    Returns:
        float ``(N, len(target))``; rows sum to 1, or are 0 where no vote is left.
    """
    column = mapping(target, source)
    kept = np.where(column < 0, votes.dtype.type(0), votes[:, column])
    total = kept.sum(1, keepdims=True)
    return kept / np.where(total > 0, total, 1)


def check_same(expected: LabelSpace, got: LabelSpace, where: str) -> None:
    """Make sure that two sets of class numbers mean the same emotions.

    Args:
        expected: The space that the reader of the numbers relies on.
        got: The space that came with the numbers.
        where: What brought ``got``, for the message, e.g. a checkpoint's path.

    Raises:
        FerError: The emotions or their order differ. Names of spaces do not count: the order does.
    """
    if expected.names != got.names:
        raise FerError(
            f"{where}: expected the emotions of {expected.name} in this order: {', '.join(expected.names)}; "
            f"got {got.name}: {', '.join(got.names)}. Class numbers would change their meaning; "
            "use data and model of one label space, or convert with fer.labels.mapping."
        )


def to_dict(space: LabelSpace) -> dict[str, Any]:
    """Return a space as plain values for a checkpoint or a card: ``{"name": str, "names": list[str]}``."""
    return {"name": space.name, "names": list(space.names)}


def from_dict(entry: Mapping[str, Any]) -> LabelSpace:
    """Rebuild a space from `to_dict`'s values.

    Raises:
        FerError: The entry is no label space, or it gives a known name to another order.
    """
    space = _read_entry(entry)
    if space.name in SPACES:
        check_same(SPACES[space.name], space, f"label space {space.name!r} read from a file")
    return space


def _read_entry(entry: Mapping[str, Any]) -> LabelSpace:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    names = entry.get("names") if isinstance(entry, Mapping) else None
    is_list = isinstance(names, list | tuple) and all(isinstance(word, str) for word in names)
    if not isinstance(name, str) or not is_list or not names or len(set(names)) != len(names):
        raise FerError(
            f"Expected a label space like {to_dict(FER7)}, got {entry!r}. "
            "The file is damaged or was not written by this project."
        )
    return LabelSpace(name, tuple(names))
