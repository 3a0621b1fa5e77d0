"""Emotions of datasets that give them as numbers, or in an order of their own."""

from collections.abc import Iterable, Sequence

from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, SPACES, LabelSpace, canonical_name


def numbered_emotions(
    where: str, numbers: Sequence[str], labels: Sequence[str] | None, expected: str
) -> dict[str, str]:
    """Return number -> emotion.

    The numbers count from 0, or from 1 if the highest is the number of labels. Fewer numbers than labels are
    accepted if that decides it, because a part of a data set may lack an emotion.

    Args:
        where: What has the numbers, for messages.
        numbers: Different numbers, as text.
        labels: The emotions in the order of their numbers, or None.
        expected: What would not need ``labels``.

    Raises:
        FerError: ``labels`` is missing, or is of another length.
    """
    ordered = sorted(numbers, key=int)
    if labels is None:
        raise FerError(
            f"{where}: expected {expected}, got numbers ({', '.join(ordered)}), which mean different "
            "emotions in different datasets. Name the emotions in ascending order of the numbers: "
            "datamodule.labels=[angry,disgust,…]"
        )
    emotions = [canonical_name(label) for label in labels]
    if len(ordered) == len(emotions):
        return dict(zip(ordered, emotions, strict=True))
    lowest, highest = int(ordered[0]), int(ordered[-1])
    first = 0 if lowest == 0 else 1 if highest == len(emotions) else None
    if first is None or highest - first >= len(emotions):
        raise FerError(
            f"{where}: expected an emotion for each number ({', '.join(ordered)}), got datamodule.labels="
            f"[{','.join(labels)}]. Name one emotion per number, in ascending order."
        )
    return {number: emotions[int(number) - first] for number in ordered}


def label_space(emotions: Iterable[str], labels: Sequence[str] | None) -> LabelSpace:
    """Return the label space of a dataset that has these emotions.

    Args:
        emotions: Canonical names.
        labels: The emotions in the order of their class numbers; None: `FER7`, or `FERPLUS8` if needed.

    Raises:
        FerError: ``labels`` lacks one of the emotions, or names one twice.
    """
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
