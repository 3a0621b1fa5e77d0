"""Explain a prediction by a saliency map: the model's own attention, or else occlusion."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer.bundle.runtime import OnnxClassifier
from fer.explaining.occlusion import hide_most_salient, occlusion_map

# Fraction of the face that is hidden to check the map.
HIDDEN_FRACTION = 0.1
# Standard deviation of the smoothing, as a fraction of the side.
_SMOOTHING = 1 / 24


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
    faces = np.stack([face, hide_most_salient(face, saliency, HIDDEN_FRACTION)])
    confidence, confidence_hidden = classifier(faces)[:, label].tolist()
    return Explanation(saliency, method, confidence, confidence_hidden)


def smooth(saliency: np.ndarray) -> np.ndarray:
    """Return the map smoothed, which removes the edges of the occluding squares."""
    return cv2.GaussianBlur(saliency, (0, 0), _SMOOTHING * len(saliency), borderType=cv2.BORDER_REPLICATE)


def _normalize(saliency: np.ndarray) -> np.ndarray:
    """Return the positive part, scaled to a maximum of 1."""
    positive = np.maximum(saliency, 0).astype(np.float32)
    largest = positive.max()
    return positive / largest if largest > 0 else positive
