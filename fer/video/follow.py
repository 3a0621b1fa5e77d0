"""Track the faces of a video: each keeps its number, and its predictions are smoothed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer.predict import Prediction
from fer.video.smoothing import Smoother
from fer.video.timeline import Row
from fer.video.tracking import BoxTracker


class FaceTracker:
    """Tracks the faces of one video or camera frame by frame, and smooths their predictions.

    Args:
        smooth: Time constant of the smoothing in seconds, see `Smoother`; 0: no smoothing.
        abstain_below: A prediction is uncertain below this probability, from the model's card; None: never.
        tracker: Assigns the numbers; None: a new `BoxTracker`.
    """

    def __init__(
        self, smooth: float = 0.5, abstain_below: float | None = None, tracker: BoxTracker | None = None
    ) -> None:
        self._tracker = tracker or BoxTracker()
        self._smoother = Smoother(smooth)
        self._abstain_below = abstain_below

    def update(
        self, predictions: Sequence[Prediction], seconds: float, cut: bool = False
    ) -> list[tuple[int, Prediction]]:
        """Return the number and smoothed prediction of each face of the next frame, in the given order.

        Args:
            predictions: Predictions for the faces of the frame; may be empty.
            seconds: Time of the frame.
            cut: Another shot starts with this frame; see `fer.video.cuts.CutDetector`.
        """
        if cut:
            self._tracker.forget()
        numbers = self._tracker.update([prediction.face for prediction in predictions])
        probs = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        smoothed = self._smoother.update(numbers, probs, seconds)
        updated = [self._with_probs(old, row) for old, row in zip(predictions, smoothed, strict=True)]
        return list(zip(numbers, updated, strict=True))

    def _with_probs(self, prediction: Prediction, probs: np.ndarray) -> Prediction:
        probabilities = dict(zip(prediction.probabilities, probs.tolist(), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        confidence = probabilities[label]
        uncertain = self._abstain_below is not None and confidence < self._abstain_below
        return replace(
            prediction, probabilities=probabilities, label=label, confidence=confidence, uncertain=uncertain
        )


def to_row(frame: int, seconds: float, number: int, prediction: Prediction) -> Row:
    """Return the timeline row of a face."""
    return Row(
        frame,
        seconds,
        number,
        prediction.face.box,
        prediction.label,
        prediction.confidence,
        prediction.uncertain,
        prediction.probabilities,
    )
