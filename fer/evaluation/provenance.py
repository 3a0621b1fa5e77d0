"""The provenance of scored images: where they come from, and which of them were used in training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
        dataset: The data set that they are from.
        training_dataset: The data set that the run was trained on: ``dataset`` itself, another, or ``None``
            if it is missing.
    """
    is_other = training_dataset is None or not _is_same(training_dataset, dataset)
    seen = find_seen(split, training_dataset, is_other)
    in_test = split.in_test
    if is_other and training_dataset is not None and "test" in training_dataset.roles:
        # Perceptual hashes recognize images in gray or in colour, and mostly also in another size
        test_images = training_dataset.take(indices(training_dataset, "test")).images
        test_hashes = perceptual_hashes(test_images)
        in_test = in_test | np.isin(perceptual_hashes(split.data.images), test_hashes)
    changed = [] if training_dataset is None else changed_roles(training_dataset, run.checkpoint.manifest)
    about = replace(
        split.about(in_test),
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


def is_trained_on(data: EmotionData, trained_on: Mapping[str, Any]) -> bool:
    """Return whether a data set has the training and validation images of a manifest."""
    roles = trained_on["splits"].keys() - {"test"}
    return bool(roles) and not roles.intersection(changed_roles(data, trained_on))


def _is_same(first: EmotionData, second: EmotionData) -> bool:
    """Return whether two data sets have the same images and labels in the same splits, at any path."""
    return first is second or not any(
        changed_roles(one, manifest(other, hide_test_labels=False))
        for one, other in ((first, second), (second, first))
    )


def find_seen(
    split: EvaluationSplit, training_dataset: EmotionData | None, is_other: bool
) -> dict[str, np.ndarray | None]:
    """Return for train and val a mask of the images whose pixels are in that split, bool ``(N,)``.

    ``None`` if unknown: images on disk would all have to be decoded, and an image in another size or number
    of channels is not recognized by its pixels.

    Args:
        training_dataset: The data set that the run was trained on, if available.
        is_other: Whether the images are from another data set. If not, the split that they form is not
            searched.
    """
    roles = [role for role in ("train", "val") if is_other or split.role not in (role, "all")]
    images, known = split.data.images, None if training_dataset is None else training_dataset.images
    if training_dataset is None or not (isinstance(images, np.ndarray) and isinstance(known, np.ndarray)):
        return dict.fromkeys(roles)
    if images.shape[1:] != known.shape[1:]:
        return dict.fromkeys(roles)
    seen: dict[str, np.ndarray | None] = {}
    digests = pixel_digests(images)
    for role in roles:
        if role in training_dataset.roles:
            of_role = set(pixel_digests(known[indices(training_dataset, role)]))
            seen[role] = np.array([digest in of_role for digest in digests])
    return seen


def _near_duplicates(split: EvaluationSplit, dataset: EmotionData) -> np.ndarray | None:
    """Return which images have an exact or near duplicate in train. The search is cached on disk."""
    in_memory = isinstance(dataset.images, np.ndarray)
    if split.role in ("train", "all") or "train" not in dataset.roles or not in_memory:
        return None
    groups = find_duplicates(dataset.images).groups
    return np.isin(groups[split.index], groups[indices(dataset, "train")])
