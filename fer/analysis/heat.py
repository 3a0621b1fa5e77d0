"""Faces with a map of heat over them, and which faces to show."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from fer.analysis.contact_sheet import FACE, Strip, plot_contact_sheet
from fer.analysis.predictions import Predictions
from fer.analysis.share import percent

_STRONGEST = 0.65  # share of the colour where the heat is 1: the face stays visible
_COLORS = "plasma"  # its upper half, from magenta to yellow


def overlay(images: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat over images: none where it is 0, so that what does not count stays as it was.

    Args:
        images: uint8 ``(N, H, W, C)``, C 1 or 3 (RGB).
        heat: ``(N, H, W)`` in [0, 1].

    Returns:
        uint8 ``(N, H, W, 3)``.
    """
    weight = _STRONGEST * heat[..., None] ** 1.5
    mixed = (1 - weight) * images + weight * 255 * colormaps[_COLORS](0.45 + 0.55 * heat)[..., :3]
    return np.round(mixed).astype(np.uint8)


def examples(predictions: Predictions, each: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Draw some right and some wrong images of each emotion, by chance, so that none is picked to please.

    Returns:
        For each class the positions of its images, right ones first; as many as there are, ``each`` at most.
    """
    rng = np.random.default_rng(seed)
    right = predictions.preds == predictions.target
    drawn = []
    for number in range(len(predictions.labels)):
        own = rng.permutation(np.flatnonzero(predictions.target == number))
        drawn.append(np.concatenate([own[right[own]][:each], own[~right[own]][:each]]))
    return drawn


def plot_heat(
    predictions: Predictions,
    images: np.ndarray,
    heat: np.ndarray,
    groups: Sequence[np.ndarray],
    title: str,
    subtitle: str,
) -> Figure:
    """Draw a row for each emotion: every face beside itself under its heat.

    Args:
        predictions: Of a split.
        images: uint8 ``(n, H, W, C)``, of the positions in ``groups``, one group after the other.
        heat: ``(n, H, W)`` in [0, 1].
        groups: Positions in the predictions for each class, as `examples` draws them.
        title: First line of the picture.
        subtitle: Second line.
    """
    pairs = np.concatenate([np.broadcast_to(images, (*images.shape[:3], 3)), overlay(images, heat)], axis=2)
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    strips = [
        Strip(name, tiles, [_caption(predictions, row) for row in rows.tolist()])
        for name, rows, tiles in zip(predictions.labels.names, groups, np.split(pairs, ends), strict=True)
        if len(rows)
    ]
    columns = max((len(rows) for rows in groups), default=1)
    return plot_contact_sheet(strips, max(1, columns), title, subtitle, width=round(4 / 3 * FACE))


def _caption(predictions: Predictions, row: int) -> list[str]:
    said = int(predictions.probs[row].argmax())
    mark = "✓" if said == predictions.target[row] else "✗"
    words = f"{mark} said {predictions.labels.names[said]}"
    return [f"{words} {percent(float(predictions.probs[row, said]))}"]
