"""What the scored images have to do with the training: are they others, and were some of them seen?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.data.dataset import EmotionData
from fer.data.duplicates import all_copies
from fer.data.duplicates.signature import digests, perceptual_hashes
from fer.data.splits import indices, manifest
from fer.scoring.runs import TrainedRun
from fer.scoring.subject import Subject


@dataclass(frozen=True)
class Provenance:
    """Where images come from, and which of them training saw.

    Attributes:
        about: Plain JSON values: ``data``, ``split``, ``role``, ``has_test``, ``test_images``,
            ``test_marks``, ``manifest``, ``left_out``, ``absent``; ``other_data``, whether it is another set
            than the run's; ``changed``, the roles of the run's set that are not what they were in training;
            ``seen``, for train and val the number of images that have the pixels of one of that split
            (``None`` where it is not known).
        has_copy: bool ``(N,)``, whether a copy is among the training images: a near one too, where the images
            are of the run's own set. ``None`` where it is not known, or they are the training images.
    """

    about: dict[str, Any]
    has_copy: np.ndarray | None


def trace(run: TrainedRun, subject: Subject, whole: EmotionData, own: EmotionData | None) -> Provenance:
    """Compare images with those of a training.

    Args:
        run: The model.
        subject: The images.
        whole: The set that they are of.
        own: The set that the run was trained on: ``whole`` itself, another, or ``None`` where it is gone.
    """
    other = own is None or not _is_same(own, whole)
    copies = find_seen(subject, own, other)
    in_test = subject.in_test | _in_own_test(subject, own, other)
    about = {
        "data": whole.source,
        "split": subject.split,
        "role": subject.role,
        "has_test": bool(in_test.any()),
        "test_images": subject.test_images(),
        "test_marks": subject.marks(in_test),
        "manifest": subject.manifest(),
        "left_out": {**subject.left_out},
        "absent": list(subject.absent),
        "other_data": other,
        "changed": [] if own is None else changed(own, run.trained.manifest),
        "seen": {role: None if rows is None else int(rows.sum()) for role, rows in copies.items()},
    }
    return Provenance(about, copies.get("train") if other else _near(subject, whole))


def changed(data: EmotionData, trained_on: Mapping[str, Any]) -> list[str]:
    """Return the roles whose images or labels are not those of a manifest."""
    before, now = trained_on["splits"], manifest(data, hide_test_labels=False)["splits"]
    hashes = ("pixels_sha256", "files_sha256", "labels_sha256")
    names = {role: {key: part[key] for key in hashes if key in part} for role, part in before.items()}
    return [role for role, known in names.items() if not known.items() <= now.get(role, {}).items()]


def _is_same(one: EmotionData, other: EmotionData) -> bool:
    """Whether two sets have the same images and labels in the same splits, wherever they were read from."""
    return one is other or not (changed(one, manifest(other, False)) or changed(other, manifest(one, False)))


def find_seen(subject: Subject, own: EmotionData | None, other: bool) -> dict[str, np.ndarray | None]:
    """Find the images with the pixels of a training or validation image, bool ``(N,)`` for each of both.

    ``None`` where that is not known: pictures that stay on disk would all have to be decoded for it, and one
    held in another size or in colour is not known again by its pixels.

    Args:
        subject: The images.
        own: The set that the run was trained on, if it is there.
        other: The images are of another set. Else they are not looked for in the split that they make up.
    """
    roles = [role for role in ("train", "val") if other or subject.role not in (role, "all")]
    if own is None or not _compares(subject.data, own):
        return dict.fromkeys(roles)
    marks = digests(np.asarray(subject.data.images))
    return {role: _are_in(marks, own, role) for role in roles if role in own.roles}


def _in_own_test(subject: Subject, own: EmotionData | None, other: bool) -> np.ndarray:
    """Return which images of another set are of the run's own test split, bool ``(N,)``.

    They are known again in gray or in colour, and most of them in another size: by their perceptual hashes.
    """
    if not other or own is None or "test" not in own.roles:
        return np.zeros(len(subject.index), bool)
    return np.isin(
        perceptual_hashes(subject.data.images), perceptual_hashes(own.take(indices(own, "test")).images)
    )


def _compares(one: EmotionData, other: EmotionData) -> bool:
    """Whether the pixels of two sets can be compared: both in memory, of one size and as many channels."""
    return _is_held(one) and _is_held(other) and one.images.shape[1:] == other.images.shape[1:]


def _is_held(data: EmotionData) -> bool:
    return isinstance(data.images, np.ndarray)


def _are_in(marks: list[bytes], own: EmotionData, role: str) -> np.ndarray:
    known = set(digests(own.images[indices(own, role)]))
    return np.array([mark in known for mark in marks])


def _near(subject: Subject, whole: EmotionData) -> np.ndarray | None:
    """Return which images have an exact or near copy in train; from the cache, once they were looked for."""
    if subject.role in ("train", "all") or "train" not in whole.roles or not _is_held(whole):
        return None
    groups = all_copies(whole.images).groups
    return np.isin(groups[subject.index], groups[indices(whole, "train")])
