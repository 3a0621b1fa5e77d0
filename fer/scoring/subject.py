"""The images to score: a split of a data set, in the label space of the model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fer.analysis.sketch import sketch
from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates import check_copies
from fer.data.duplicates.signature import perceptual_hashes
from fer.data.sources import read
from fer.data.splits import indices, manifest
from fer.errors import FerError
from fer.labels import LabelSpace, map_votes, mapping
from fer.scoring.votes import with_votes

SPLITS = (*ROLES, "all")


@dataclass(frozen=True)
class Subject:
    """Images to score.

    Attributes:
        data: These images alone, labelled as their set labels them.
        index: int64 ``(N,)``, their rows in the whole set.
        target: int64 ``(N,)``, class numbers of the model.
        votes: float32 ``(N, K)`` over the emotions of the model, or ``None``.
        role: One of `SPLITS`.
        split: Its published name.
        in_test: bool ``(N,)``, which are of the set's test split.
        left_out: Why -> number of images of the split that are not among them.
        absent: Emotions that the model may answer and of which there is no image.
    """

    data: EmotionData
    index: np.ndarray
    target: np.ndarray
    votes: np.ndarray | None
    role: str
    split: str
    in_test: np.ndarray
    left_out: dict[str, int]
    absent: tuple[str, ...]

    @property
    def has_test(self) -> bool:
        """Return whether images of the set's test split are among them."""
        return bool(self.in_test.any())

    def test_images(self) -> str | None:
        """Name the test images among them by content, alike whatever else is scored beside them."""
        if not self.has_test:
            return None
        part = self.manifest() if self.in_test.all() else _named(self.data.take(np.flatnonzero(self.in_test)))
        return str(part.get("pixels_sha256") or part["files_sha256"])

    def marks(self, rows: np.ndarray) -> list[str]:
        """Return the sketch of some of the images, a mask bool ``(N,)``, by their perceptual hashes.

        Pictures on disk are decoded for it. What it is good for: `fer.analysis.sketch`.
        """
        chosen = self.data.take(np.flatnonzero(rows))
        return sketch(value.tobytes() for value in perceptual_hashes(chosen.images)) if rows.any() else []

    def manifest(self) -> dict[str, Any]:
        """Name the images by content: ``label_space``, ``count``, ``pixels_sha256``, ``labels_sha256`` …"""
        return _named(self.data)

    def sources(self) -> np.ndarray:
        """Return the file of each image, or its row, str ``(N,)``."""
        files = getattr(self.data.images, "files", None)
        if files is not None:
            return np.array([files.name(row) for row in range(len(self.index))])
        return np.array([f"row {row}" for row in self.index])


def read_data(options: Mapping[str, Any]) -> EmotionData:
    """Read a set as training had it: without its training copies of other splits, where they were dropped."""
    data = with_votes(read({**options, "votes": False}), options)
    return check_copies(data, drop=True)[0] if options.get("drop_leaks") else data


def choose(data: EmotionData, role: str, labels: LabelSpace) -> Subject:
    """Take a split, with the class numbers of a model.

    Images of emotions that the model cannot say are left out: no answer of it could be right. Emotions that
    the images lack stay possible answers, and wrong ones; a model in use is not told what will not come.

    Args:
        data: The whole set.
        role: ``train``, ``val``, ``test``, or ``all`` of them.
        labels: What the model's outputs mean.

    Raises:
        FerError: There is no such split, or none of its images shows an emotion that the model can say.
    """
    rows = _rows(data, role)
    target = np.where(data.targets[rows] < 0, -1, mapping(data.labels, labels)[data.targets[rows]])
    kept = rows[target >= 0]
    if not len(kept):
        raise FerError(
            f"{data.source}: expected images of an emotion that the model can say "
            f"({', '.join(labels.names)}), got none among {len(rows):,} of {role} "
            f"({', '.join(data.labels.names)}). Score another set."
        )
    target = target[target >= 0]
    name = data.roles.get(role, role)
    part = replace(
        data.take(kept), split=np.zeros(len(kept), np.uint8), split_names=(name,), roles={"val": name}
    )
    votes = None if part.votes is None else map_votes(part.votes, data.labels, labels)
    in_test = np.isin(kept, indices(data, "test") if "test" in data.roles else ())
    absent = tuple(word for i, word in enumerate(labels.names) if not (target == i).any())
    return Subject(part, kept, target, votes, role, name, in_test, _left_out(data, rows, labels), absent)


def _named(data: EmotionData) -> dict[str, Any]:
    """Return the manifest of images that are all of one split, called val."""
    whole = manifest(data, hide_test_labels=False)
    return {"label_space": whole["label_space"], "image_shape": whole["image_shape"]} | whole["splits"]["val"]


def _rows(data: EmotionData, role: str) -> np.ndarray:
    if role != "all":
        return indices(data, role)
    return np.sort(np.concatenate([indices(data, known) for known in data.roles]))


def _left_out(data: EmotionData, rows: np.ndarray, labels: LabelSpace) -> dict[str, int]:
    targets = data.targets[rows]
    foreign = [i for i, word in enumerate(data.labels.names) if word not in labels.names]
    counts = {
        f"{data.labels.names[i]}, which the model cannot say": int((targets == i).sum()) for i in foreign
    }
    counts["without a label"] = int((targets < 0).sum())
    return {why: number for why, number in counts.items() if number}
