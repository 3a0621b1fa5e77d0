"""What every reader returns: images, targets and published splits in plain arrays."""

from dataclasses import dataclass

import numpy as np

from fer.labels import LabelSpace

ROLES = ("train", "val", "test")


@dataclass(frozen=True)
class EmotionData:
    """A labelled set of face images with its splits.

    Attributes:
        images: uint8 ``(N, H, W, C)``, C is 1 (gray) or 3 (RGB); may be a read-only memory map.
        targets: int64 ``(N,)``, class numbers in ``labels``; -1 where the label is hidden.
        split: uint8 ``(N,)``, position in ``split_names``.
        split_names: Splits as published, e.g. ``("Training", "PublicTest", "PrivateTest")``.
        roles: Role (one of `ROLES`) -> published split name; only roles that are present.
        labels: What the class numbers mean.
        source: Path or description, for messages and run records.
    """

    images: np.ndarray
    targets: np.ndarray
    split: np.ndarray
    split_names: tuple[str, ...]
    roles: dict[str, str]
    labels: LabelSpace
    source: str

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)
