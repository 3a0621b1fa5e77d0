"""The provenance of scored images: where they come from, and which of them were used in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.about import About
from fer.data.dataset import EmotionData
from fer.data.duplicates import find_duplicates
from fer.data.duplicates.hashes import perceptual_hashes, pixel_digests
from fer.data.splits import indices, manifest
from fer.evaluation.runs import TrainedRun
from fer.evaluation.split import EvaluationSplit


@dataclass(frozen=True)
class Provenance:
    """Where images come from, and which of them were used in training.

    Attributes:
        about: Facts about the images; those about a run are not set.
        has_copy: bool ``(N,)``, whether the training split contains a duplicate of each image, including near
            duplicates if the images are of the run's data set. ``None`` if unknown, or for the training
            images.
    """

    about: About
    has_copy: np.ndarray | None


def find_provenance(
    run: TrainedRun, split: EvaluationSplit, dataset: EmotionData, training_dataset: EmotionData | None
) -> Provenance:
    """Compare images with those of a training run.

    Args:
        run: The run.
        split: The images.
        dataset: The data set that they are from.
        training_dataset: The data set that the run was trained on: ``dataset`` itself, another, or ``None``
            if it is missing.
    """
    is_other = training_dataset is None or not _is_same(training_dataset, dataset)
    seen = find_seen(split, training_dataset, is_other)
    in_test = split.in_test | _in_test_of_training_data(split, training_dataset, is_other)
    changed = [] if training_dataset is None else changed_roles(training_dataset, run.checkpoint.manifest)
    about = About(
        data=dataset.source,
        split=split.name,
        role=split.role,
        has_test=bool(in_test.any()),
        test_images=split.test_images(),
        test_marks=tuple(split.sketch(in_test)),
        manifest=split.manifest(),
        left_out=split.left_out,
        absent=split.absent,
        other_data=is_other,
        changed=tuple(changed),
        seen={role: None if mask is None else int(mask.sum()) for role, mask in seen.items()},
    )
    return Provenance(about, seen.get("train") if is_other else _near_duplicates(split, dataset))


def changed_roles(data: EmotionData, trained_on: Mapping[str, Any]) -> list[str]:
    """Return the roles whose images or labels differ from a manifest."""
    before, now = trained_on["splits"], manifest(data, hide_test_labels=False)["splits"]
    keys = ("pixels_sha256", "files_sha256", "labels_sha256")
    hashes = {role: {key: part[key] for key in keys if key in part} for role, part in before.items()}
    return [role for role, known in hashes.items() if not known.items() <= now.get(role, {}).items()]


def _is_same(first: EmotionData, second: EmotionData) -> bool:
    """Return whether two data sets have the same images and labels in the same splits, at any path."""
    if first is second:
        return True
    return not (
        changed_roles(first, manifest(second, hide_test_labels=False))
        or changed_roles(second, manifest(first, hide_test_labels=False))
    )


def find_seen(
    split: EvaluationSplit, training_dataset: EmotionData | None, is_other: bool
) -> dict[str, np.ndarray | None]:
    """Return for train and val a mask of the images whose pixels are in that split, bool ``(N,)``.

    ``None`` if unknown: images on disk would all have to be decoded, and an image in another size or number
    of channels is not recognized by its pixels.

    Args:
        split: The images.
        training_dataset: The data set that the run was trained on, if available.
        is_other: Whether the images are from another data set. If not, the split that they form is not
            searched.
    """
    roles = [role for role in ("train", "val") if is_other or split.role not in (role, "all")]
    if training_dataset is None or not _are_comparable(split.data, training_dataset):
        return dict.fromkeys(roles)
    digests = pixel_digests(np.asarray(split.data.images))
    return {
        role: _are_in(digests, training_dataset, role) for role in roles if role in training_dataset.roles
    }


def _in_test_of_training_data(
    split: EvaluationSplit, training_dataset: EmotionData | None, is_other: bool
) -> np.ndarray:
    """Return which images of another data set are in the test split of the training data, bool ``(N,)``.

    They are recognized by perceptual hashes: in gray or in colour, and mostly also in another size.
    """
    if not is_other or training_dataset is None or "test" not in training_dataset.roles:
        return np.zeros(len(split.index), bool)
    test_images = training_dataset.take(indices(training_dataset, "test")).images
    return np.isin(perceptual_hashes(split.data.images), perceptual_hashes(test_images))


def _are_comparable(first: EmotionData, second: EmotionData) -> bool:
    """Return whether pixels can be compared: both in memory, with the same size and number of channels."""
    return (
        _is_in_memory(first) and _is_in_memory(second) and first.images.shape[1:] == second.images.shape[1:]
    )


def _is_in_memory(data: EmotionData) -> bool:
    return isinstance(data.images, np.ndarray)


def _are_in(digests: list[bytes], data: EmotionData, role: str) -> np.ndarray:
    known = set(pixel_digests(data.images[indices(data, role)]))
    return np.array([digest in known for digest in digests])


def _near_duplicates(split: EvaluationSplit, dataset: EmotionData) -> np.ndarray | None:
    """Return which images have an exact or near duplicate in train. The search is cached on disk."""
    if split.role in ("train", "all") or "train" not in dataset.roles or not _is_in_memory(dataset):
        return None
    groups = find_duplicates(dataset.images).groups
    return np.isin(groups[split.index], groups[indices(dataset, "train")])
