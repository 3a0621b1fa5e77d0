"""What every reader returns: images, targets and published splits in plain arrays."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fer.labels import LabelSpace

if TYPE_CHECKING:  # it loads OpenCV
    from fer.data.pictures import ImageFiles

ROLES = ("train", "val", "test")


@dataclass(frozen=True)
class EmotionData:
    """A labelled set of face images with its splits.

    Attributes:
        images: uint8 ``(N, H, W, C)``, C is 1 (gray) or 3 (RGB); may be a read-only memory map, or pictures
            on disk that are decoded when they are asked for.
        targets: int64 ``(N,)``, class numbers in ``labels``; -1 where the label is hidden.
        split: uint8 ``(N,)``, position in ``split_names``.
        split_names: Splits as published, e.g. ``("Training", "PublicTest", "PrivateTest")``.
        roles: Role (one of `ROLES`) -> published split name; only roles that are present.
        labels: What the class numbers mean.
        source: Path or description, for messages and run records.
        votes: float32 ``(N, K)``, share of the taggers that saw each emotion. Rows sum to 1; where the label
            is hidden, or nobody saw an emotion, they are 0. None where the set has one label an image.
        dropped: Rule -> images left out by it when reading; rules about labels do not count the test part.
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

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def take(self, rows: np.ndarray) -> Self:
        """Return the data of these rows alone, a mask ``(N,)`` or positions ``(n,)``; pixels are copied."""
        pick = getattr(self.images, "subset", self.images.__getitem__)  # files on disk are not decoded for it
        return replace(
            self,
            images=pick(rows),
            targets=self.targets[rows],
            split=self.split[rows],
            votes=None if self.votes is None else self.votes[rows],
        )
