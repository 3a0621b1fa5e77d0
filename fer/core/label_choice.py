"""Emotions of one's own choice: which of a label space are used, in which order, and which are merged.

`check_choice` checks the two options by themselves, before the data is read; `choose_labels` applies them to
a label space.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import SPACES, LabelSpace, spelling

EMOTIONS, MERGE = "datamodule.emotions", "datamodule.merge"
_EXAMPLE = f"{EMOTIONS}=[happy,sad,neutral]"
_MERGE_EXAMPLE = f"'{MERGE}={{negative: [angry, disgust, fear, sad]}}'"
# Names are parts of metric names, options and labels in images.
_NAME = re.compile(r"[^\W_][\w -]{0,39}")


@dataclass(frozen=True)
class LabelChoice:
    """A label space that the user has chosen.

    Attributes:
        source: The label space of the data.
        labels: The label space of the choice.
        merged: Emotion of ``labels`` -> emotions of ``source`` that it stands for, of the merged ones only.
        numbers: Class number in ``labels`` of each class of ``source``, -1 where it is left out.
    """

    source: LabelSpace
    labels: LabelSpace
    merged: dict[str, tuple[str, ...]]
    numbers: tuple[int, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Emotions of the data that are not used."""
        return tuple(name for name, number in zip(self.source.names, self.numbers, strict=True) if number < 0)


def check_choice(emotions: Sequence[str] | None, merge: Mapping[str, Sequence[str]] | None) -> None:
    """Check that the options do not contradict each other.

    Raises:
        FerError: A name is not valid or occurs twice, or fewer than two emotions are named.
    """
    groups = _groups(merge)
    owner: dict[str, str] = {}
    for name, members in groups.items():
        if not members:
            raise FerError(
                f"{MERGE}: expected emotions to merge into {name}, got none, as in {_MERGE_EXAMPLE}."
            )
        for member in members:
            if member in owner:
                raise FerError(
                    f"{MERGE}: expected each emotion in one list, got {member} in {owner[member]} and {name}."
                    " Remove it from one of them."
                )
            owner[member] = name
    if emotions is None:
        return
    names = [_checked(name, EMOTIONS) for name in emotions]
    if len(names) < 2:
        raise FerError(f"{EMOTIONS}: expected two emotions or more, got {_list(names)}. Example: {_EXAMPLE}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise FerError(
            f"{EMOTIONS}: expected different emotions, got {repeated[0]} twice. Remove one of them."
        )
    for name in names:
        if name not in groups and name in owner:
            raise FerError(
                f"{EMOTIONS}: expected {owner[name]}, got {name}, which {MERGE} merges into it. Name "
                f"{owner[name]}, or take {name} out of the merge."
            )


def choose_labels(
    source: LabelSpace,
    emotions: Sequence[str] | None,
    merge: Mapping[str, Sequence[str]] | None,
    is_complete: bool = True,
) -> LabelChoice:
    """Return the label space that is left of ``source``.

    Without ``emotions``, the order is that of the data, and a merged emotion is at its first member's place.

    Args:
        source: The label space of the data.
        emotions: Names to keep, of emotions or merged ones; None keeps all.
        merge: New name -> the emotions that it stands for.
        is_complete: Every emotion that is named must be in ``source``; otherwise what it lacks is ignored, as
            for data that a run is only scored on.

    Raises:
        FerError: An emotion is not in ``source``, the name of a merge is another emotion of it, or fewer than
            two emotions are left.
    """
    check_choice(emotions, merge)
    groups = _groups(merge)
    owner = {member: name for name, members in groups.items() for member in members}
    if is_complete:
        _check_members(source, groups, owner)
    kept = list(dict.fromkeys(owner.get(name, name) for name in source.names))
    if emotions is not None:
        names = [spelling(name) for name in emotions]
        if is_complete and (unknown := [name for name in names if name not in kept]):
            raise FerError(
                f"{EMOTIONS}: expected emotions of the data ({', '.join(kept)}), got {unknown[0]!r}."
                f"{did_you_mean(unknown[0], kept)}"
            )
        kept = [name for name in names if name in kept]
    if is_complete and len(kept) < 2:
        raise FerError(
            f"{MERGE}: expected two emotions or more to be left, got {_list(kept)}. Merge fewer emotions."
        )
    numbers = tuple(kept.index(name) if (name := owner.get(old, old)) in kept else -1 for old in source.names)
    merged = {
        name: tuple(member for member in source.names if owner.get(member) == name)
        for name in kept
        if name in groups
    }
    return LabelChoice(source, _space(source, tuple(kept), bool(merged)), merged, numbers)


def _check_members(source: LabelSpace, groups: Mapping[str, Sequence[str]], owner: Mapping[str, str]) -> None:
    for name, members in groups.items():
        for member in members:
            if member not in source.names:
                raise FerError(
                    f"{MERGE}: expected emotions of the data ({', '.join(source.names)}), got {member!r} in "
                    f"{name}.{did_you_mean(member, source.names)}"
                )
        if name in source.names and owner.get(name) != name:
            raise FerError(
                f"{MERGE}: expected a new name or one of the merged emotions ({', '.join(members)}), got "
                f"{name}, another emotion of the data. Add {name} to its list, or choose another name."
            )


def _space(source: LabelSpace, names: tuple[str, ...], is_merged: bool) -> LabelSpace:
    """Return the label space of these names: a published one if there is one in this order."""
    if names == source.names:
        return source
    published = [space for space in SPACES.values() if space.names == names]
    return (
        published[0]
        if published
        else LabelSpace(f"{source.name}-{'merged' if is_merged else 'subset'}", names)
    )


def _groups(merge: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Return name -> members in the spelling of this project."""
    groups: dict[str, list[str]] = {}
    for name, members in (merge or {}).items():
        key = _checked(name, MERGE)
        if key in groups:
            raise FerError(f"{MERGE}: expected different names, got {key} twice. Rename one of them.")
        groups[key] = [_checked(member, MERGE) for member in members]
    return groups


def _checked(name: str, option: str) -> str:
    key = spelling(name)
    if not _NAME.fullmatch(key):
        raise FerError(
            f"{option}: expected names of 1 to 40 letters, digits, spaces, - and _, got {name!r}. Rename it."
        )
    return key


def _list(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"
