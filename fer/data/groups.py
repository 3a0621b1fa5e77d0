"""Groups of images that stay together in a carve-out: the images of one person, or the frames of one video.

Without groups, frames of a person are in training and in validation, and the validation scores measure how
well people are recognized that the model has already seen (docs/decisions/0014-groups.md).
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer.core.errors import FerError
from fer.core.text import agree
from fer.data.dataset import EmotionData

AUTO, NONE = "auto", "none"
# Columns of a list of images that name a group, in lower case; the first that is present is used.
COLUMNS = (
    "subject",
    "subject_id",
    "person",
    "person_id",
    "identity",
    "actor",
    "participant",
    "video",
    "clip",
)
# Rule -> file names of a well-known set; group 1 of the expression names the person or
# the video. Case is ignored.
_START, _EMOTIONS = r"(?:^|/)", "(?:AF|AN|DI|HA|NE|SA|SU)"
PATTERNS = {
    # S005_001_00000011.png (Lucey et al. 2010)
    "CK+ subjects": rf"{_START}(S\d{{2,4}})_\d{{3}}_\d{{6,8}}",
    # KA.AN1.39.tiff (Lyons et al. 1998)
    "JAFFE subjects": rf"{_START}([A-Z]{{2}})[.-](?:AN|DI|FE|HA|NE|SA|SU)\d[.-]\d{{1,3}}",
    # AF01ANS.JPG: session A or B, person F01 (Lundqvist et al. 1998)
    "KDEF subjects": rf"{_START}[AB]([FM]\d\d){_EMOTIONS}(?:FL|HL|S|HR|FR)\b",
    # Rafd090_01_Caucasian_female_angry_frontal.jpg (Langner et al. 2010)
    "RaFD subjects": rf"{_START}Rafd\d{{3}}_(\d\d)_[a-z]+_",
    # 004_o_m_a_b.jpg (Ebner et al. 2010)
    "FACES subjects": rf"{_START}(\d{{1,3}})_[ymo]_[fm]_[adfhns]_[ab]\b",
    # 01-01-05-01-02-01-12…: the seventh number is the actor (Livingstone and Russo 2018)
    "RAVDESS actors": rf"{_START}(?:\d\d-){{6}}(\d\d)\b",
    # 1001_DFA_ANG_XX… (Cao et al. 2014)
    "CREMA-D actors": rf"{_START}(1\d{{3}})_[A-Z]{{3}}_(?:ANG|DIS|FEA|HAP|NEU|SAD)_",
    # P001/Anger/000.jpeg (Zhao et al. 2011)
    "Oulu-CASIA subjects": rf"{_START}(P\d{{3}})/[A-Za-z]+/\d{{3}}\.",
    # 17Again_000046240_00000014.png: the movie (Dhall et al. 2011)
    "SFEW movies": rf"{_START}([^/]+)_\d{{9}}_\d{{8}}",
}  # fmt: skip
# A pattern is used if it matches at least this fraction of the training images.
_MIN_FRACTION = 0.01
# Evenly spaced training images of which one has to match, so that 300,000 names take no seconds.
_SAMPLED_NAMES = 2000


@dataclass(frozen=True)
class Groups:
    """Groups of the images of a dataset.

    Attributes:
        numbers: int64 ``(N,)``, equal for the images of a group; an image outside the groups has a number of
            its own.
        count: Number of groups with a name among the training images.
        rule: What the groups are, e.g. ``CK+ subjects``, for messages and the name of the split.
        chosen: Whether the user named the groups.
    """

    numbers: np.ndarray
    count: int
    rule: str
    chosen: bool


def find_groups(data: EmotionData, names: Sequence[str], train: np.ndarray, group: str) -> Groups | None:
    """Return the groups of the images, or None if there are none.

    Args:
        data: The dataset; `EmotionData.groups` are the values of a column, if a list of images has it.
        names: Path of each image, ``(N,)``, with ``/`` between folders.
        train: bool ``(N,)``, the training images.
        group: ``auto`` (a column of `COLUMNS`, or `PATTERNS`), ``none``, or a regular expression for the
            paths, whose first group, or else the match, names the group of an image.

    Raises:
        FerError: The expression is invalid, or matches no path of a training image.
    """
    if group == NONE:
        return None
    if data.groups is not None:
        column = "a column of the list" if group == AUTO else f"column {group}"
        keys = [str(key) or None for key in data.groups]
        groups = _numbered(keys, train, column, group != AUTO)
        if group != AUTO or _divides(groups, keys, train):
            return groups
    if group == AUTO:
        return _find_pattern(names, train)
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise FerError(
            f"datamodule.group={group}: expected auto, none, a column of a list of images, or a regular "
            f"expression, got an invalid expression ({error}). Correct it."
        ) from None
    groups = _numbered(_match(pattern, names), train, group, True)
    if groups.count < 2:
        first = next((name for name, used in zip(names, train, strict=True) if used), "")
        raise FerError(
            f"datamodule.group={group}: expected the training images in two groups or more, got "
            f"{groups.count}. It is searched in paths like {first!r}; the part in parentheses names the "
            "group. Correct it, or set datamodule.group=none."
        )
    return groups


def _find_pattern(names: Sequence[str], train: np.ndarray) -> Groups | None:
    """Return the groups by the pattern that matches most training images; None without one."""
    found: list[tuple[int, Groups]] = []
    rows = np.flatnonzero(train)
    sample = [names[row] for row in rows[:: max(1, len(rows) // _SAMPLED_NAMES)]]
    for rule, text in PATTERNS.items():
        pattern = re.compile(text, re.IGNORECASE)
        if not any(map(pattern.search, sample)):
            continue
        keys = _match(pattern, names)
        groups = _numbered(keys, train, rule, False)
        if _divides(groups, keys, train):
            found.append((_count_named(keys, train), groups))
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _divides(groups: Groups, keys: Sequence[str | None], train: np.ndarray) -> bool:
    """Return whether enough training images are in two groups or more, of which one has several images."""
    named = _count_named(keys, train)
    return groups.count >= 2 and named > groups.count and named >= _MIN_FRACTION * train.sum()


def _count_named(keys: Sequence[str | None], train: np.ndarray) -> int:
    return sum(key is not None for key, used in zip(keys, train, strict=True) if used)


def _match(pattern: re.Pattern[str], names: Sequence[str]) -> list[str | None]:
    """Return the name of the group of each path; None where the pattern does not match."""
    matches = map(pattern.search, names)
    return [None if match is None else match[pattern.groups and 1] for match in matches]


def _numbered(keys: Sequence[str | None], train: np.ndarray, rule: str, chosen: bool) -> Groups:
    named = {key.lower() for key, used in zip(keys, train, strict=True) if used and key}
    numbers: dict[str, int] = {}
    values = [
        numbers.setdefault(key.lower() if key else f"\0{row}", len(numbers)) for row, key in enumerate(keys)
    ]
    return Groups(np.array(values, np.int64), len(named), rule, chosen)


def warn_of_shared_groups(data: EmotionData, groups: Groups) -> None:
    """Warn if published splits share groups: their scores are not those of unknown people."""
    numbers = {
        role: set(groups.numbers[data.split == data.split_names.index(name)].tolist())
        for role, name in data.roles.items()
    }
    for role in ("val", "test"):
        shared = numbers.get(role, set()) & numbers.get("train", set())
        if shared:
            warnings.warn(
                f"{data.source}: {len(shared):,} of {len(numbers[role]):,} groups ({groups.rule}) of the "
                f"published {role} split {agree(len(shared), 'is', 'are')} in train as well. Scores on "
                f"{role} do not show how well the model does on people that it has not seen.",
                stacklevel=2,
            )
