"""`EmotionData`, which every reader returns: images, targets and published splits as arrays."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fer.core.labels import LabelSpace

if TYPE_CHECKING:
    # Not at run time: it loads OpenCV, which the CSV readers do not need.
    from fer.data.image_files import ImageFiles

ROLES = ("train", "val", "test")


@dataclass(frozen=True)
class EmotionData:
    """A labelled dataset of face images with its splits.

    Attributes:
        images: uint8 ``(N, H, W, C)`` with C 1 (gray) or 3 (RGB). Either an array, possibly a read-only
            memory map, or image files on disk that are decoded on access.
        targets: int64 ``(N,)``, class numbers in ``labels``; -1 if the label is hidden.
        split: uint8 ``(N,)``, position in ``split_names``.
        split_names: Published names of the splits, e.g. ``("Training", "PublicTest", "PrivateTest")``.
        roles: Role (one of `ROLES`) -> published split name; only the roles that are present.
        labels: Label space of the class numbers.
        source: Path or description, for messages and run records.
        votes: float32 ``(N, K)``, fraction of annotators who chose each emotion. Rows sum to 1; a row is 0 if
            the label is hidden or no annotator chose an emotion. None if the dataset has one label per image.
        dropped: Rule -> number of images dropped by it when reading. Rules about labels do not count the test
            split.
        groups: str ``(N,)``, the person or video of each image where a list of images names it, ``""`` where
            it does not. None without such a list, and after a validation split was carved out.
        source_numbers: uint8 ``(N,)``, position in ``source_names`` for data that joins several sources; None
            for one.
        source_names: Names of these sources.
        choice: The emotions that were chosen: ``label_space`` of the data, ``merge`` and ``left_out``, as
            `fer.data.emotions` records them; None if all were kept as they are.
        landmarks: float32 ``(N, 5, 2)``, see `fer.data.landmarks`, of images that were aligned by them; None
            if they were not.
        file_names: bytes ``(N,)``, the path of each image below ``source``, for reports. None for data that
            is not read from image files, or while ``images`` has the names.
    """

    images: "np.ndarray | ImageFiles"
    targets: np.ndarray
    split: np.ndarray
    split_names: tuple[str, ...]
    roles: dict[str, str]
    labels: LabelSpace
    source: str
    votes: np.ndarray | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    groups: np.ndarray | None = None
    choice: dict[str, Any] | None = None
    source_numbers: np.ndarray | None = None
    source_names: tuple[str, ...] = ()
    landmarks: np.ndarray | None = None
    file_names: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def take(self, rows: np.ndarray) -> Self:
        """Return the rows of a mask ``(N,)`` or of positions ``(n,)``; pixels in memory are copied."""
        # Image files on disk are selected without decoding them.
        select = getattr(self.images, "subset", self.images.__getitem__)
        return replace(
            self,
            images=select(rows),
            targets=self.targets[rows],
            split=self.split[rows],
            votes=None if self.votes is None else self.votes[rows],
            groups=None if self.groups is None else self.groups[rows],
            source_numbers=None if self.source_numbers is None else self.source_numbers[rows],
            landmarks=None if self.landmarks is None else self.landmarks[rows],
            file_names=None if self.file_names is None else self.file_names[rows],
        )


def label_given_vote(data: EmotionData, rows: np.ndarray) -> list[list[float]] | None:
    """Return P(label | vote), ``(K, K)``, a row per vote, which sums to 1; None for data without votes.

    An emotion without votes gets the label of the same name.

    Args:
        data: The data set.
        rows: The rows to count, int ``(n,)``, such as those of the training split.
    """
    if data.votes is None:
        return None
    identity = np.eye(len(data.labels))
    pairs = data.votes[rows].T @ identity[data.targets[rows]]
    totals = pairs.sum(1, keepdims=True)
    return np.where(totals > 0, pairs / np.maximum(totals, 1e-9), identity).tolist()


def source_counts(data: EmotionData, rows: np.ndarray) -> list[list[int]] | None:
    """Return the images of each emotion in each source, ``(S, K)``; None for data of one source.

    Args:
        data: The data set.
        rows: As for `label_given_vote`.
    """
    if data.source_numbers is None:
        return None
    counts = np.zeros((len(data.source_names), len(data.labels)), np.int64)
    np.add.at(counts, (data.source_numbers[rows], data.targets[rows]), 1)
    return counts.tolist()
