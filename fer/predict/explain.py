"""Explain a prediction by a saliency map: the model's own attention, or else occlusion."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fer.bundle.runtime import OnnxClassifier

# Fraction of the face that is hidden to check the map.
_HIDDEN_FRACTION = 0.1
# Standard deviation of the smoothing, as a fraction of the side.
_SMOOTHING = 1 / 24
# Positions of the occluding square per side of the face.
# On 96 faces of FER2013's PublicTest, blurring the most salient tenth lowered the confidence of the package's
# model by 44 points, the middle tenth by 12, a random tenth by 6. RISE (Petsiuk et al. 2018) reached 44 with
# 225 random masks and 46 with 400; squares with soft edges reached 36, 225 of them 44.
_CELLS = 12
# Side of the hidden square, as a fraction of the face's side.
_WINDOW = 0.25
# Standard deviation of the blur, as a fraction of the side: large enough to remove every facial feature.
_BLUR = 1 / 8


@dataclass(frozen=True, eq=False)
class Explanation:
    """A saliency map, with a check of how much the prediction depends on its most salient part.

    Attributes:
        saliency: float32 ``(S, S)``, 0 to 1.
        method: ``"attention"`` or ``"occlusion"``.
        confidence: Probability of the explained emotion, 0 to 1.
        confidence_hidden: The same with the most salient tenth of the face hidden.
    """

    saliency: np.ndarray
    method: str
    confidence: float
    confidence_hidden: float


def explain(classifier: OnnxClassifier, face: np.ndarray, label: int) -> Explanation:
    """Explain the prediction for a face.

    Args:
        classifier: The model.
        face: uint8 ``(S, S, 3)``, RGB, cropped as the model needs it.
        label: Class index of the emotion to explain.
    """
    attention = classifier.attention(face[None])
    method = "occlusion" if attention is None else "attention"
    saliency = occlusion_map(classifier, face, label) if attention is None else attention[0]
    saliency = _normalize(smooth(saliency))
    faces = np.stack([face, hide_most_salient(face, saliency)])
    confidence, confidence_hidden = classifier(faces)[:, label].tolist()
    return Explanation(saliency, method, confidence, confidence_hidden)


def smooth(saliency: np.ndarray) -> np.ndarray:
    """Smooth a saliency map, which removes the edges of the occluding squares."""
    return cv2.GaussianBlur(saliency, (0, 0), _SMOOTHING * len(saliency), borderType=cv2.BORDER_REPLICATE)


def _normalize(saliency: np.ndarray) -> np.ndarray:
    """Return the positive part, scaled to a maximum of 1."""
    positive = np.maximum(saliency, 0).astype(np.float32)
    largest = positive.max()
    return positive / largest if largest > 0 else positive


def occlusion_map(classifier: Callable[[np.ndarray], np.ndarray], face: np.ndarray, label: int) -> np.ndarray:
    """Return how much a prediction depends on each pixel of a face (occlusion sensitivity).

    A square of the face is blurred at 12 x 12 positions in turn, all in one call of the model
    (Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901). It is blurred rather than gray, because a gray
    square would add a shape to the image (Fong & Vedaldi 2017, https://arxiv.org/abs/1704.03296). The value
    of a pixel is the mean decrease of the label's log-odds over the squares that hide it. The map is
    deterministic.

    Args:
        classifier: A `fer.bundle.runtime.OnnxClassifier`, or a function with the same signature.
        face: uint8 ``(S, S, 3)``, RGB, cropped as the model needs it.
        label: Class index of the emotion to explain.

    Returns:
        float32 ``(S, S)``; positive where hiding lowers the probability, negative where it raises it.
    """
    masks = _windows(face.shape[0])
    occluded = np.where(masks[..., None], blurred(face), face)
    odds = _log_odds(classifier(np.concatenate([face[None], occluded]))[:, label])
    decrease = (odds[0] - odds[1:]).astype(np.float32)
    counts = np.maximum(masks.sum(0), 1).astype(np.float32)
    return np.tensordot(decrease, masks.astype(np.float32), 1) / counts


def hide_most_salient(face: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Return a copy of a face, uint8 ``(S, S, 3)``, with its most salient tenth blurred."""
    threshold = np.quantile(saliency, 1 - _HIDDEN_FRACTION)
    return np.where((saliency > threshold)[..., None], blurred(face), face)


def blurred(face: np.ndarray) -> np.ndarray:
    """Return a face, uint8 ``(S, S, 3)``, blurred so strongly that no feature can be recognised."""
    return cv2.GaussianBlur(face, (0, 0), _BLUR * len(face), borderType=cv2.BORDER_REPLICATE)


def _windows(side: int) -> np.ndarray:
    """Return the masks of the squares at all positions, bool ``(144, side, side)``."""
    centres = (np.arange(_CELLS) + 0.5) * side / _CELLS
    near = np.abs(np.arange(side) + 0.5 - centres[:, None]) <= _WINDOW * side / 2
    return (near[:, None, :, None] & near[None, :, None, :]).reshape(-1, side, side)


def _log_odds(probs: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, which still show a decrease when the probability is near 1."""
    probs = np.clip(probs.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(probs / (1 - probs))
