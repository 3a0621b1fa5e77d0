"""Faces over time: each keeps its number, and its answers are steady."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer.predict import Prediction
from fer.video.smoothing import Smoother
from fer.video.timeline import Row
from fer.video.tracking import Tracker


class Follower:
    """Follows the faces of one film or camera, frame by frame.

    Args:
        smooth: Seconds over which the answers of a face are averaged, see `Smoother`; 0 for none.
        abstain_below: Probability below which an answer is uncertain, from the model's card; None: never.
        tracker: Gives the numbers; a `Tracker` of its own if None.
    """

    def __init__(
        self, smooth: float = 0.5, abstain_below: float | None = None, tracker: Tracker | None = None
    ) -> None:
        self._tracker = tracker or Tracker()
        self._smoother = Smoother(smooth)
        self._abstain_below = abstain_below

    def update(
        self, predictions: Sequence[Prediction], seconds: float, cut: bool = False
    ) -> list[tuple[int, Prediction]]:
        """Return number and steadied answer of each face of the next frame, in the order given.

        Args:
            predictions: The faces of the frame; none is fine, too.
            seconds: Time of the frame.
            cut: Another shot begins here, with other people; see `fer.video.cuts.CutFinder`.
        """
        if cut:
            self._tracker.forget()
        numbers = self._tracker.update([prediction.face for prediction in predictions])
        probs = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        steady = self._smoother.update(numbers, probs, seconds)
        answers = [self._renew(old, row) for old, row in zip(predictions, steady, strict=True)]
        return list(zip(numbers, answers, strict=True))

    def _renew(self, prediction: Prediction, probs: np.ndarray) -> Prediction:
        probabilities = dict(zip(prediction.probabilities, probs.tolist(), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        confidence = probabilities[label]
        uncertain = self._abstain_below is not None and confidence < self._abstain_below
        return replace(
            prediction, probabilities=probabilities, label=label, confidence=confidence, uncertain=uncertain
        )


def to_row(frame: int, seconds: float, number: int, prediction: Prediction) -> Row:
    """Return what the time line says of a face."""
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
