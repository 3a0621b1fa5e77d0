"""What an analysis takes as images: an array, or a set on disk that decodes what is asked for."""

from typing import Protocol

import numpy as np


class Images(Protocol):
    """uint8 ``(N, H, W, C)``, C 1 or 3 (RGB), in memory or not."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return ``(N, H, W, C)``."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: np.ndarray | slice, /) -> np.ndarray:
        """Return some of them, ``(n, H, W, C)``."""
