"""Ensembles: the mean of the probabilities of several models."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.labels import check_same_labels
from fer.scoring.score import average


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """Return the mean of the probabilities of several models for the same images.

    Args:
        members: Two or more, of one label space.

    Raises:
        FerError: Their label spaces or images differ.
    """
    first = members[0]
    for other in members[1:]:
        check_same_labels(first.labels, other.labels, str(other.about["checkpoint"]))
        if not (np.array_equal(first.index, other.index) and np.array_equal(first.target, other.target)):
            raise FerError(
                f"--ensemble: expected predictions for the same images, but {first.about['checkpoint']} "
                f"({len(first):,} images) and {other.about['checkpoint']} ({len(other):,} images) have "
                "different ones. Name runs of one data set."
            )
    about = {
        "run": f"ensemble of {len(members)} runs",
        "member_runs": ", ".join(str(member.about["run"]) for member in members),
        "members": [member.about for member in members],
        **_combine_provenance([member.about for member in members]),
        "checkpoint": ", ".join(str(member.about["checkpoint"]) for member in members),
        "parameters": sum(member.about["parameters"] for member in members),
        "model_sha256": _joint_hash([member.about["model_sha256"] for member in members]),
        "recipe_sha256": _joint_hash([member.about["recipe_sha256"] for member in members]),
        "seed": None,
        "epoch": None,
    }
    return average([member.probs for member in members], first, about)


def _combine_provenance(abouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the provenance of the images for the ensemble: what one member has seen counts as seen."""
    seen: dict[str, int | None] = {}
    for role in dict.fromkeys(role for about in abouts for role in about["seen"]):
        counts = [about["seen"].get(role) for about in abouts]
        known = [count for count in counts if count is not None]
        seen[role] = max(known) if any(known) or len(known) == len(counts) else None
    return {
        "seen": seen,
        "changed": sorted({role for about in abouts for role in about["changed"]}),
        "other_data": any(about["other_data"] for about in abouts),
        "has_test": any(about["has_test"] for about in abouts),
        "test_images": next((about["test_images"] for about in abouts if about["test_images"]), None),
        "test_marks": next((about["test_marks"] for about in abouts if about.get("test_marks")), []),
    }


def _joint_hash(hashes: list[str]) -> str:
    return hashlib.sha256("\n".join(["ensemble", *sorted(hashes)]).encode()).hexdigest()
