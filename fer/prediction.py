"""The model's prediction for one face."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.faces.face import Face

# Shorter side of a face box in pixels below which most of the model's input is interpolated: half of
# FER2013's 48.
TINY_FACE = 24


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The prediction for one face.

    Attributes:
        face: Where the face is.
        probabilities: Probability of each emotion, in the order of the model's labels; they sum to 1.
        label: The emotion with the highest probability.
        confidence: That probability.
        uncertain: Whether it is below the card's threshold; False if the card has none.
    """

    face: Face
    probabilities: dict[str, float]
    label: str
    confidence: float
    uncertain: bool

    @property
    def tiny(self) -> bool:
        """Return whether the face is smaller than `TINY_FACE`, so that the prediction is unreliable."""
        return min(self.face.box[2:]) < TINY_FACE

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: lengths in pixels, rounded to 0.01; probabilities rounded to six digits."""
        points = self.face.points
        return {
            "box": [round(float(value), 2) for value in self.face.box],
            "score": round(float(self.face.score), 4),
            "points": None if points is None else np.asarray(points, float).round(2).tolist(),
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "uncertain": self.uncertain,
            "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
        }

    def __repr__(self) -> str:
        """Return one line, e.g. ``<happy 93 %, face of 120 x 120 pixels at (64, 40)>``."""
        left, top, width, height = (round(value) for value in self.face.box)
        uncertain = ", uncertain" if self.uncertain else ""
        position = f"face of {width} x {height} pixels at ({left}, {top})"
        return f"<{self.label} {100 * self.confidence:.0f} %{uncertain}, {position}>"
