"""The map that is shown beside an answer: the model's own attention, or else occlusion."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer.bundle.runtime import OnnxClassifier
from fer.explaining.occlusion import hide_hottest, occlusion_map

HIDDEN = 0.1  # share of the face that is hidden to check the map
_SMOOTH = 1 / 24  # of the side


@dataclass(frozen=True, eq=False)
class Why:
    """Where an answer comes from.

    Attributes:
        heat: float32 ``(S, S)``, 0 to 1.
        method: ``"attention"`` or ``"occlusion"``.
        before: Probability of the answer, 0 to 1.
        after: The same with the hottest tenth of the face hidden.
    """

    heat: np.ndarray
    method: str
    before: float
    after: float


def why(classifier: OnnxClassifier, face: np.ndarray, label: int) -> Why:
    """Explain an answer on a face.

    Args:
        classifier: The model.
        face: uint8 ``(S, S, 3)``, RGB, cut out as the model wants it.
        label: Position of the answer among the model's emotions.
    """
    attention = classifier.attention(face[None])
    method = "occlusion" if attention is None else "attention"
    heat = occlusion_map(classifier, face, label) if attention is None else attention[0]
    heat = _shares(smoothed(heat))
    both = np.stack([face, hide_hottest(face, heat, HIDDEN)])
    before, after = classifier(both)[:, label].tolist()
    return Why(heat, method, before, after)


def smoothed(heat: np.ndarray) -> np.ndarray:
    """Return heat without the edges of the squares that found it."""
    return cv2.GaussianBlur(heat, (0, 0), _SMOOTH * len(heat), borderType=cv2.BORDER_REPLICATE)


def _shares(heat: np.ndarray) -> np.ndarray:
    """Return the positive part, its largest value as 1."""
    positive = np.maximum(heat, 0).astype(np.float32)
    largest = positive.max()
    return positive / largest if largest > 0 else positive
