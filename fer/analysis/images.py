"""Images as the analysis functions take them: an array, or a data set on disk that decodes on request."""

from typing import Protocol

import numpy as np


class Images(Protocol):
    """uint8 ``(N, H, W, C)``, C 1 or 3 (RGB); in memory or decoded on request."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return ``(N, H, W, C)``."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: np.ndarray | slice, /) -> np.ndarray:
        """Return the selected images, ``(n, H, W, C)``."""
