"""Which parts of a face an answer rests on: hide them one after the other, and see how much it falls."""

from collections.abc import Callable

import cv2
import numpy as np

Classifier = Callable[[np.ndarray], np.ndarray]

# On 96 faces of FER2013's PublicTest, blurring the hottest tenth took 44 points off what the model of the
# package gave its answer, the middle tenth 12, a random one 6. RISE (Petsiuk et al. 2018) came to 44 with 225
# random masks and to 46 with 400; squares with soft edges to 36, 225 of them to 44.
CELLS = 12
WINDOW = 0.25  # of the side
_BLUR = 1 / 8  # of the side: enough to leave no feature


def occlusion_map(
    classifier: Classifier, face: np.ndarray, label: int, cells: int = CELLS, window: float = WINDOW
) -> np.ndarray:
    """Return how much an answer rests on each part of a face.

    A square of the face is blurred beyond recognition, at ``cells`` x ``cells`` places in turn, all in one
    call of the model (occlusion sensitivity, Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901; blurred
    rather than gray as in Fong & Vedaldi 2017, https://arxiv.org/abs/1704.03296, for a gray square is a shape
    of its own). Each pixel gets the mean fall of the answer's log-odds over the squares that hide it. Nothing
    is left to chance: the same face gives the same map.

    Args:
        classifier: An `fer.bundle.runtime.OnnxClassifier`, or what is called like one.
        face: uint8 ``(S, S, 3)``, RGB, cut out as the model wants it.
        label: Position of the answer among the model's emotions.
        cells: Places a side.
        window: Side of the square, as a share of the face's.

    Returns:
        float32 ``(S, S)``; above 0 where hiding lowers the answer, below where it raises it.
    """
    masks = _windows(face.shape[0], cells, window)
    hidden = np.where(masks[..., None], blurred(face), face)
    odds = _log_odds(classifier(np.concatenate([face[None], hidden]))[:, label])
    falls = (odds[0] - odds[1:]).astype(np.float32)
    return np.tensordot(falls, masks.astype(np.float32), 1) / np.maximum(masks.sum(0), 1).astype(np.float32)


def hide_hottest(face: np.ndarray, heat: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return a face whose hottest pixels are blurred beyond recognition.

    Args:
        face: uint8 ``(S, S, 3)``.
        heat: float ``(S, S)``.
        share: Of the pixels, 0 to 1.
    """
    least = np.quantile(heat, 1 - share)
    return np.where((heat > least)[..., None], blurred(face), face)


def blurred(face: np.ndarray) -> np.ndarray:
    """Return a face, uint8 ``(S, S, 3)``, of which only light and shade are left."""
    return cv2.GaussianBlur(face, (0, 0), _BLUR * len(face), borderType=cv2.BORDER_REPLICATE)


def _windows(side: int, cells: int, window: float) -> np.ndarray:
    """Return squares at all places, bool ``(cells * cells, side, side)``."""
    centres = (np.arange(cells) + 0.5) * side / cells
    near = np.abs(np.arange(side) + 0.5 - centres[:, None]) <= max(window * side / 2, 0.5 * side / cells)
    return (near[:, None, :, None] & near[None, :, None, :]).reshape(cells * cells, side, side)


def _log_odds(shares: np.ndarray) -> np.ndarray:
    """Return log-odds of probabilities: near 1, they still tell how much was lost."""
    shares = np.clip(shares.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(shares / (1 - shares))
