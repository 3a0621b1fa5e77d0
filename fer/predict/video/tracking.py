"""Track faces over successive frames by the overlap of their boxes, smooth their predictions, detect cuts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fer.faces.base import Face
from fer.predict.predictor import Prediction, make_prediction

# Weight of the last step in the running mean of a face's velocity. On four synthetic faces that cross,
# occlude each other and are missed at times, there are 0.06 identity switches in 1,000 frames; without
# velocity 0.53.
_VELOCITY_WEIGHT = 0.5
# Smallest intersection over union of a face and its predicted box.
_MIN_OVERLAP = 0.3
# A face that is missed for more frames than this gets a new number.
_MAX_MISSED = 30
# After this many time constants of the smoothing, past predictions have a weight below a thousandth.
_MAX_AGE = 7
# A cut is a mean absolute difference of successive thumbnails above this value, in gray levels of 255. In a
# video made of 77 photographs, it is 21 or more at cuts, and 5 or less while one photograph moves.
_CUT_THRESHOLD = 15.0
# Width and height; coarse, so that a moving face changes little.
_THUMBNAIL_SIZE = (16, 12)
# Every eighth pixel is enough for the thumbnail.
_PIXEL_STEP = 8


@dataclass
class _Track:
    """A face that is followed over frames."""

    number: int
    box: np.ndarray
    # In pixels per frame, x and y.
    velocity: np.ndarray
    # Frames since the face was last detected.
    missed: int = 0

    def predict(self) -> np.ndarray:
        """Return the expected box in the next frame, at constant velocity."""
        return self.box + np.concatenate([self.velocity * (self.missed + 1), [0, 0]])

    def move(self, box: np.ndarray) -> None:
        """Move the track to the box of a detected face, and update its velocity."""
        step = (box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2) / (self.missed + 1)
        self.velocity += _VELOCITY_WEIGHT * (step - self.velocity)
        self.box, self.missed = box, 0


class BoxTracker:
    """Gives each face a number that stays the same over successive frames.

    Faces are matched to the predicted boxes of the tracks, pairs with the largest overlap first (after SORT,
    Bewley et al. 2016, https://arxiv.org/abs/1602.00763). A running mean of the velocity replaces SORT's
    Kalman filter, and greedy matching its Hungarian algorithm: equally good on synthetic videos of two to
    eight faces.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, faces: Sequence[Face]) -> list[int]:
        """Return the number of each face of the next frame; numbers count from 1 and are never reused.

        Call it for frames without faces too, because tracks end after 30 such frames.
        """
        boxes = np.array([face.box for face in faces], float).reshape(-1, 4)
        matches = self._match(boxes)
        for index, track in enumerate(self._tracks):
            if index in matches:
                track.move(boxes[matches[index]])
            else:
                track.missed += 1
        numbers = {box: self._tracks[track].number for track, box in matches.items()}
        self._tracks = [track for track in self._tracks if track.missed <= _MAX_MISSED]
        return [numbers.get(row) or self._start_track(box) for row, box in enumerate(boxes)]

    def forget(self) -> None:
        """End all tracks, so that all faces get new numbers, e.g. after a cut."""
        self._tracks = []

    def _match(self, boxes: np.ndarray) -> dict[int, int]:
        """Return index of the track -> index of its box."""
        predicted = np.array([track.predict() for track in self._tracks]).reshape(-1, 4)
        return dict(_pairs(box_iou(predicted, boxes), _MIN_OVERLAP))

    def _start_track(self, box: np.ndarray) -> int:
        self._tracks.append(_Track(self._next, box, np.zeros(2)))
        self._next += 1
        return self._next - 1


def _pairs(iou: np.ndarray, min_iou: float) -> Iterator[tuple[int, int]]:
    """Yield row and column of the largest remaining overlap, until none is at least ``min_iou``."""
    remaining = iou.copy()
    while remaining.size and remaining.max() >= min_iou:
        row, column = np.unravel_index(remaining.argmax(), remaining.shape)
        remaining[row], remaining[:, column] = -1, -1
        yield int(row), int(column)


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (IoU) of all pairs of boxes.

    Args:
        first: float ``(A, 4)``: left, top, width, height.
        second: float ``(B, 4)``.

    Returns:
        float ``(A, B)``, 0 to 1; 0 for boxes without area.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, :2] + first[:, None, 2:], second[None, :, :2] + second[None, :, 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=2)
    first_areas, second_areas = (np.prod(np.maximum(boxes[:, 2:], 0), axis=1) for boxes in (first, second))
    areas = first_areas[:, None] + second_areas
    return np.divide(
        intersection, areas - intersection, out=np.zeros_like(intersection), where=areas > intersection
    )


class FaceTracker:
    """Tracks the faces of one video or camera frame by frame, and smooths their predictions.

    Args:
        smooth: Time constant of the smoothing in seconds, see `Smoother`; 0: no smoothing.
        abstain_below: A prediction is uncertain below this probability, from the model's card; None: never.
    """

    def __init__(self, smooth: float = 0.5, abstain_below: float | None = None) -> None:
        self._tracker = BoxTracker()
        self._smoother = Smoother(smooth)
        self._abstain_below = abstain_below

    def configure(self, smooth: float, abstain_below: float | None) -> None:
        """Set the smoothing and the threshold of the next frames; faces keep their numbers."""
        self._smoother.constant, self._abstain_below = smooth, abstain_below

    def update(
        self, predictions: Sequence[Prediction], seconds: float, cut: bool = False
    ) -> list[tuple[int, Prediction]]:
        """Return the number and smoothed prediction of each face of the next frame, in the given order.

        Args:
            predictions: Predictions for the faces of the frame; may be empty.
            seconds: Time of the frame.
            cut: Another shot starts with this frame; see `CutDetector`.
        """
        if cut:
            self._tracker.forget()
        numbers = self._tracker.update([prediction.face for prediction in predictions])
        probs = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        smoothed = self._smoother.update(numbers, probs, seconds)
        updated = [
            make_prediction(old.face, old.probabilities, row, self._abstain_below)
            for old, row in zip(predictions, smoothed, strict=True)
        ]
        return list(zip(numbers, updated, strict=True))


class Smoother:
    """Exponential smoothing of each face's probabilities, for frames at irregular times.

    A new prediction has the weight ``1 - exp(-dt / constant)``, so that the result does not depend on the
    frame rate (Brown 1959; for irregular times Wright 1986, https://doi.org/10.1287/mnsc.32.4.499).

    Args:
        constant: Time in seconds after which the weight of the past has fallen to 37 %; 0: no smoothing.
    """

    def __init__(self, constant: float) -> None:
        self.constant = constant
        self._past: dict[int, tuple[float, np.ndarray]] = {}

    def update(self, track_ids: Sequence[int], probs: np.ndarray, seconds: float) -> np.ndarray:
        """Smooth the predictions of one frame.

        Args:
            track_ids: Number of each face, ``N``; see `BoxTracker`.
            probs: float ``(N, K)``, rows sum to 1.
            seconds: Time of the frame; must not decrease.

        Returns:
            float64 ``(N, K)``, rows sum to 1.
        """
        if self.constant <= 0:
            return np.asarray(probs, np.float64)
        rows = [self._smooth(track, row, seconds) for track, row in zip(track_ids, probs, strict=True)]
        self._past = {
            track: (time, row)
            for track, (time, row) in self._past.items()
            if seconds - time <= _MAX_AGE * self.constant
        }
        return np.array(rows, np.float64).reshape(np.shape(probs))

    def _smooth(self, track: int, probs: np.ndarray, seconds: float) -> np.ndarray:
        new = np.asarray(probs, np.float64)
        time, past = self._past.get(track, (-math.inf, new))
        weight = -math.expm1(-max(0.0, float(seconds) - time) / self.constant)
        smoothed = past + weight * (new - past)
        self._past[track] = (max(float(seconds), time), smoothed)
        return smoothed


class CutDetector:
    """Detects for each frame of a video whether it starts another shot."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> bool:
        """Return whether the next frame, RGB, uint8 ``(H, W, 3)``, starts another shot."""
        step = min(_PIXEL_STEP, max(1, min(image.shape[:2]) // _THUMBNAIL_SIZE[1]))
        gray = cv2.cvtColor(np.ascontiguousarray(image[::step, ::step]), cv2.COLOR_RGB2GRAY)
        thumbnail = cv2.resize(gray, _THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, thumbnail
        return last is not None and bool(np.abs(thumbnail - last).mean() > _CUT_THRESHOLD)
