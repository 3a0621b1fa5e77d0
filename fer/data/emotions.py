"""Apply a choice of emotions to a dataset: labels, votes and splits. Its images stay where they are."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fer.core.errors import FerError
from fer.core.label_choice import EMOTIONS, MERGE, LabelChoice, choose_labels
from fer.core.text import agree
from fer.data.dataset import EmotionData
from fer.data.splits import indices


def choose_emotions(
    data: EmotionData,
    emotions: Sequence[str] | None,
    merge: Mapping[str, Sequence[str]] | None,
    to_train: bool = True,
) -> EmotionData:
    """Return a dataset with emotions of one's own choice.

    Images of emotions that are left out keep their rows, but move to a split without a role, so that the
    same image has the same row whatever was chosen. ``dropped`` counts them, without those of the test split.
    Votes of merged emotions are added up; those for emotions that are left out are removed, and the rest is
    scaled to sum to 1, or is 0 where no vote is left.

    Args:
        data: A dataset as its reader returns it.
        emotions: Names to keep, in the order of the class numbers; None keeps all.
        merge: New name -> the emotions that it stands for.
        to_train: Every emotion that is named must be in the label space and, if in ``emotions``, among the
            training images. Otherwise what the data lacks is ignored, as for data that a run is scored on.

    Returns:
        ``data`` itself if nothing was chosen.

    Raises:
        FerError: The choice does not fit the data, or leaves a split without images.
    """
    if emotions is None and not merge:
        if to_train:
            _warn_of_absent_emotions(data)
        return data
    choice = choose_labels(data.labels, emotions, merge, is_complete=to_train)
    # The last number is for hidden labels, -1.
    numbers = np.array([*choice.numbers, -1], dtype=np.int64)
    targets = numbers[data.targets]
    left_out = (data.targets >= 0) & (targets < 0)
    chosen = replace(
        data,
        targets=targets,
        votes=None if data.votes is None else _merge_votes(data.votes, choice),
        labels=choice.labels,
        choice=_record(choice),
    )
    chosen = _leave_out(chosen, left_out, choice)
    _check_splits(data, chosen, emotions, to_train)
    return chosen


def _warn_of_absent_emotions(data: EmotionData) -> None:
    """Warn if the model would know emotions that no training image shows."""
    if "train" not in data.roles:
        return
    present = set(data.targets[indices(data, "train")].tolist())
    if absent := [name for number, name in enumerate(data.labels.names) if number not in present]:
        shown = ",".join(name for name in data.labels.names if name not in absent)
        warnings.warn(
            f"{data.source}: no training image shows {', '.join(absent)}, which the model may answer all the "
            f"same. Leave {agree(len(absent), 'it', 'them')} out with '{EMOTIONS}=[{shown}]'.",
            stacklevel=2,
        )


def _merge_votes(votes: np.ndarray, choice: LabelChoice) -> np.ndarray:
    """Return votes ``(N, len(choice.labels))``."""
    columns = np.zeros((len(choice.source), len(choice.labels)), dtype=votes.dtype)
    for old, new in enumerate(choice.numbers):
        if new >= 0:
            columns[old, new] = 1
    sums = votes @ columns
    total = sums.sum(1, keepdims=True)
    return np.asarray(sums / (total + (total == 0)), dtype=votes.dtype)


def _leave_out(data: EmotionData, rows: np.ndarray, choice: LabelChoice) -> EmotionData:
    """Move the rows of a mask ``(N,)`` to a split without a role."""
    if not rows.any():
        return data
    test = data.split_names.index(data.roles["test"]) if "test" in data.roles else -1
    rule = f"{', '.join(choice.left_out)}: not in {EMOTIONS}"
    count = int((rows & (data.split != test)).sum())
    split = data.split.copy()
    split[rows] = len(data.split_names)
    return replace(
        data,
        split=split,
        split_names=(*data.split_names, rule),
        dropped={**data.dropped, **({rule: count} if count else {})},
    )


def _record(choice: LabelChoice) -> dict[str, object]:
    """Return the choice as plain values, for the manifest."""
    return {
        "label_space": {"name": choice.source.name, "names": list(choice.source.names)},
        "merge": {name: list(members) for name, members in choice.merged.items()},
        "left_out": list(choice.left_out),
    }


def _check_splits(
    before: EmotionData, after: EmotionData, emotions: Sequence[str] | None, to_train: bool
) -> None:
    for role, name in before.roles.items() if to_train else ():
        if len(indices(before, role)) and not len(indices(after, role)):
            raise FerError(
                f"{EMOTIONS}: expected images of {', '.join(after.labels.names)} in each split, got none in "
                f"{role} ({name}) of {before.source}. Choose other emotions."
            )
    if not to_train or "train" not in after.roles:
        return
    present = set(after.targets[indices(after, "train")].tolist())
    missing = [name for number, name in enumerate(after.labels.names) if number not in present]
    if emotions is not None and missing:
        raise FerError(
            f"{EMOTIONS}: expected emotions with training images, got none of {', '.join(missing)} in "
            f"{before.source}. Leave them out."
        )
    if len(present) < 2:
        raise FerError(
            f"{MERGE}: expected training images of at least two emotions to be left, got "
            f"{', '.join(after.labels.names[number] for number in present)} in {before.source}. Merge fewer."
        )
