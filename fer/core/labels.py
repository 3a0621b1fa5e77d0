"""Emotion names and colors, label spaces and the mappings between them: the single source of truth.

Every dataset lists the same emotions in a different order, so a class number means nothing without its
`LabelSpace`. Every dataset, checkpoint and confusion matrix carries its label space. A mismatch is an error
(`check_same_labels`), never a silent permutation. Class numbers are converted by `mapping` only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer.core.errors import FerError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

# Other spellings of the eight emotions, in folder names, column headings and checkpoints of other projects.
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
_CANONICAL = {alias: emotion for emotion, aliases in ALIASES.items() for alias in (emotion, *aliases)}


@dataclass(frozen=True)
class LabelSpace:
    """The emotions of a dataset, in the order of its class numbers.

    Attributes:
        name: Key in `SPACES`, or the name of a custom label space.
        names: Canonical emotion names; the position is the class number, from 0.
    """

    name: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the class number (from 0) of an emotion in any known spelling.

        Raises:
            FerError: The emotion is not in this label space.
        """
        emotion = spelling(name)
        if emotion not in self.names:
            hint = did_you_mean(emotion, self.names)
            raise FerError(
                f"Label space {self.name}: expected one of {', '.join(self.names)}, got {name!r}.{hint}"
            )
        return self.names.index(emotion)


# Orders as published. Class numbers are those in the dataset's own files, except for RAF-DB.
# FER2013, `emotion` column, 0 to 6 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414).
FER7 = LabelSpace("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))
# FER+, vote columns of fer2013new.csv from the third on, without `unknown` and `NF` (Barsoum et al. 2016,
# https://arxiv.org/abs/1608.01041).
FERPLUS8 = LabelSpace(
    "ferplus8", ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
)
# AffectNet, `expression`, 0 to 7. Its 8 none, 9 uncertain and 10 no-face are not emotions (Mollahosseini et
# al. 2017, https://arxiv.org/abs/1708.03985).
AFFECTNET8 = LabelSpace(
    "affectnet8", ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
)
# RAF-DB basic. Its list_patition_label.txt counts from 1 (1 surprise ... 7 neutral), so subtract 1 (Li et al.
# 2017, https://doi.org/10.1109/CVPR.2017.277).
RAFDB7 = LabelSpace("rafdb7", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"))
SPACES: dict[str, LabelSpace] = {space.name: space for space in (FER7, FERPLUS8, AFFECTNET8, RAFDB7)}
# Any two differ by at least 27 CIELAB units, also under simulated protanopia, deuteranopia and tritanopia
# (Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113).
EMOTION_COLORS = {
    "angry": "#a13900",
    "disgust": "#00674b",
    "fear": "#85107e",
    "happy": "#da8c21",
    "sad": "#412cd6",
    "surprise": "#4683ff",
    "neutral": "#9c9c9c",
    "contempt": "#d088d8",
}
# For labels that are not in `EMOTION_COLORS`, after the colors of emotions that are not used. Any two of all
# colors differ by at least 27 CIELAB units with the first of these, 24 with the first three, 18 with all.
FURTHER_COLORS = (
    "#78f096", "#e1e100", "#c3e1f0", "#00a55a", "#4b2d0f", "#4b0096", "#965a87", "#2d3c4b",
)  # fmt: skip
# For a label whose label space is not known, and where colors run out.
OTHER_COLOR = "#5c636b"
RGB = tuple[int, int, int]
DARK_TEXT, WHITE = (22, 24, 28), (255, 255, 255)


def spelling(name: str) -> str:
    """Return a label in lower case, and an emotion in this project's spelling: ``"happy"`` for ``"Joy"``."""
    key = name.strip().lower()
    return _CANONICAL.get(key, key)


def canonical_name(name: str) -> str:
    """Return the project's name of an emotion, e.g. ``"happy"`` for ``"Happiness"``.

    Case and surrounding spaces are ignored.

    Raises:
        FerError: The name is not a known emotion.
    """
    key = name.strip().lower()
    if key not in _CANONICAL:
        known = ", ".join(ALIASES)
        hint = did_you_mean(key, _CANONICAL)
        raise FerError(f"Expected the name of an emotion ({known}), got {name!r}.{hint}")
    return _CANONICAL[key]


def mapping(source: LabelSpace, target: LabelSpace) -> "np.ndarray":
    """Return the class number in ``target`` of each class of ``source``.

    Returns:
        int64 ``(len(source),)``, -1 where ``target`` lacks the emotion. ``mapping(a, b)[targets_a]`` are the
        targets in ``b``.
    """
    # Imported here because commands need the names of emotions before they need NumPy.
    import numpy as np

    position = {name: i for i, name in enumerate(target.names)}
    return np.array([position.get(name, -1) for name in source.names], dtype=np.int64)


def map_votes(votes: "np.ndarray", source: LabelSpace, target: LabelSpace) -> "np.ndarray":
    """Convert votes to another label space, without the votes for emotions that it lacks.

    Args:
        votes: float ``(N, len(source))``, fractions of the annotators.
        source: Label space of the votes.
        target: Label space to convert to.

    Returns:
        float ``(N, len(target))``; each row sums to 1, or is 0 where no vote is left.
    """
    column = mapping(target, source)
    mapped = votes[:, column] * (column >= 0)
    total = mapped.sum(1, keepdims=True)
    return mapped / (total + (total == 0))


def check_same_labels(expected: LabelSpace, got: LabelSpace, where: str) -> None:
    """Raise FerError unless two label spaces have the same emotions in the same order.

    Args:
        expected: Label space that the caller needs.
        got: Label space that came with the class numbers.
        where: Source of ``got`` for the message, e.g. a checkpoint's path.

    Raises:
        FerError: The emotions or their order differ. The names of the label spaces may differ.
    """
    if expected.names != got.names:
        raise FerError(
            f"{where}: expected the emotions of {expected.name} in this order: {', '.join(expected.names)}; "
            f"got {got.name}: {', '.join(got.names)}. Class numbers would change their meaning. "
            "Use data and a model of one label space, or convert with fer.core.labels.mapping."
        )


def to_dict(space: LabelSpace) -> dict[str, Any]:
    """Return a label space as plain values: ``{"name": str, "names": list[str]}``."""
    return {"name": space.name, "names": list(space.names)}


def from_dict(entry: Mapping[str, Any]) -> LabelSpace:
    """Return the label space that `to_dict` wrote.

    Raises:
        FerError: The entry is not a label space, or it gives a known name to another order.
    """
    name = entry.get("name") if isinstance(entry, Mapping) else None
    names = entry.get("names") if isinstance(entry, Mapping) else None
    is_list = isinstance(names, list | tuple) and all(isinstance(item, str) for item in names)
    if not isinstance(name, str) or not is_list or not names or len(set(names)) != len(names):
        raise FerError(
            f"Expected a label space like {to_dict(FER7)}, got {entry!r}. "
            "The file is damaged, or was not written by fer."
        )
    space = LabelSpace(name, tuple(names))
    if name in SPACES:
        check_same_labels(SPACES[name], space, f"label space {name!r} read from a file")
    return space


def emotion_colors(names: Iterable[str]) -> dict[str, str]:
    """Return the color of each label of a label space, as ``#rrggbb``, in any order of the labels.

    Other labels than the eight emotions, such as merged ones, get the colors of emotions that the label space
    does not have, then `FURTHER_COLORS`.
    """
    labels = list(names)
    free = [color for emotion, color in EMOTION_COLORS.items() if emotion not in labels]
    others = sorted(name for name in labels if name not in EMOTION_COLORS)
    colors = dict(zip(others, [*free, *FURTHER_COLORS], strict=False))
    return {name: EMOTION_COLORS.get(name) or colors.get(name, OTHER_COLOR) for name in labels}


def emotion_rgb(label: str, names: Iterable[str] = ()) -> RGB:
    """Return the color of a label of a label space, red, green and blue from 0 to 255."""
    code = emotion_colors(names).get(label) or EMOTION_COLORS.get(label, OTHER_COLOR)
    red, green, blue = bytes.fromhex(code[1:])
    return red, green, blue


def text_color_on(color: RGB) -> RGB:
    """Return `DARK_TEXT` or `WHITE`, whichever has more contrast on a background (4.5 or more, WCAG 2.2)."""
    return max((DARK_TEXT, WHITE), key=lambda text_color: contrast_ratio(text_color, color))


def contrast_ratio(first: RGB, second: RGB) -> float:
    """Return the contrast ratio of two colors, 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: RGB) -> float:
    """Return the relative luminance of an sRGB color, 0 to 1."""
    values = [channel / 255 for channel in color]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
