"""What the model says of one face."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.faces.face import Face

TINY = 24  # pixels: half of what FER2013 models look at; a smaller face is mostly made up by enlarging


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The answer on one face.

    Attributes:
        face: Where it is.
        probabilities: Of each emotion, 0 to 1, in the order of the model's card; they sum to 1.
        label: The emotion of the highest probability.
        confidence: That probability.
        uncertain: Whether it is below the card's threshold; never where none was measured.
    """

    face: Face
    probabilities: dict[str, float]
    label: str
    confidence: float
    uncertain: bool

    @property
    def tiny(self) -> bool:
        """Return whether the face is so small (below `TINY` pixels) that the answer is worth little."""
        return min(self.face.box[2:]) < TINY

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: lengths in pixels to a hundredth, probabilities to six digits."""
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
        """Return the answer in a line, e.g. ``<happy 93 %, face of 120 x 120 pixels at (64, 40)>``."""
        left, top, width, height = (round(value) for value in self.face.box)
        doubt = ", uncertain" if self.uncertain else ""
        where = f"face of {width} x {height} pixels at ({left}, {top})"
        return f"<{self.label} {100 * self.confidence:.0f} %{doubt}, {where}>"
