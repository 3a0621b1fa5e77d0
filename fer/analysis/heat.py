"""Saliency maps (such as Grad-CAM) over images, and the choice of example images."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from fer.analysis.contact_sheet import IMAGE_WIDTH, ImageStrip, plot_contact_sheet
from fer.analysis.predictions import Predictions
from fer.analysis.share import format_percent

# Opacity of the colour at a saliency of 1; the face stays visible
_MAX_OPACITY = 0.65
# Its upper half is used, from magenta to yellow
_COLORMAP = "plasma"


def overlay_saliency(images: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Return images with their saliency maps as a colour overlay; pixels with a saliency of 0 stay unchanged.

    Args:
        images: uint8 ``(N, H, W, C)``, C 1 or 3 (RGB).
        saliency: ``(N, H, W)`` in [0, 1].

    Returns:
        uint8 ``(N, H, W, 3)``.
    """
    opacity = _MAX_OPACITY * saliency[..., None] ** 1.5
    colors = colormaps[_COLORMAP](0.45 + 0.55 * saliency)[..., :3]
    blended = (1 - opacity) * images + opacity * 255 * colors
    return np.round(blended).astype(np.uint8)


def sample_examples(predictions: Predictions, each: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Return random correctly and wrongly classified images of each emotion.

    Args:
        predictions: Of a split.
        each: Maximum number of correct and of wrong images per emotion.
        seed: Seed of the random choice.

    Returns:
        For each class the positions of its images, correct ones first.
    """
    rng = np.random.default_rng(seed)
    correct = predictions.preds == predictions.target
    groups = []
    for number in range(len(predictions.labels)):
        rows = rng.permutation(np.flatnonzero(predictions.target == number))
        groups.append(np.concatenate([rows[correct[rows]][:each], rows[~correct[rows]][:each]]))
    return groups


def plot_saliency(
    predictions: Predictions,
    images: np.ndarray,
    saliency: np.ndarray,
    groups: Sequence[np.ndarray],
    title: str,
    subtitle: str,
) -> Figure:
    """Plot a row of images for each emotion, each beside its copy with the saliency map.

    Args:
        predictions: Of a split.
        images: uint8 ``(n, H, W, C)``, at the positions in ``groups``, group by group.
        saliency: ``(n, H, W)`` in [0, 1].
        groups: Positions in the predictions for each class, as returned by `sample_examples`.
        title: Title of the figure.
        subtitle: Second line.
    """
    rgb = np.broadcast_to(images, (*images.shape[:3], 3))
    pairs = np.concatenate([rgb, overlay_saliency(images, saliency)], axis=2)
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    strips = [
        ImageStrip(name, tiles, [_caption(predictions, row) for row in rows.tolist()])
        for name, rows, tiles in zip(predictions.labels.names, groups, np.split(pairs, ends), strict=True)
        if len(rows)
    ]
    columns = max((len(rows) for rows in groups), default=1)
    return plot_contact_sheet(strips, max(1, columns), title, subtitle, width=round(4 / 3 * IMAGE_WIDTH))


def _caption(predictions: Predictions, row: int) -> list[str]:
    predicted = int(predictions.probs[row].argmax())
    mark = "✓" if predicted == predictions.target[row] else "✗"
    text = f"{mark} predicted {predictions.labels.names[predicted]}"
    return [f"{text} {format_percent(float(predictions.probs[row, predicted]))}"]
