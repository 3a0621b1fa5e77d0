"""Assign the faces of successive frames to tracks by the overlap of their boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fer.faces.face import Face

# Weight of the last step in the running mean of a face's velocity. On four synthetic faces that cross,
# occlude each other and are missed at times, there are 0.06 identity switches in 1,000 frames; without
# velocity 0.53.
_VELOCITY_WEIGHT = 0.5


@dataclass
class _Track:
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
        step = (box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2) / (self.missed + 1)
        self.velocity += _VELOCITY_WEIGHT * (step - self.velocity)
        self.box, self.missed = box, 0


class BoxTracker:
    """Gives each face a number that stays the same over successive frames.

    Faces are matched to the predicted boxes of the tracks, pairs with the largest overlap first (after SORT,
    Bewley et al. 2016, https://arxiv.org/abs/1602.00763). A running mean of the velocity replaces SORT's
    Kalman filter, and greedy matching its Hungarian algorithm: equally good on synthetic videos of two to
    eight faces.

    Args:
        min_overlap: Smallest intersection over union of a face and its predicted box, 0 to 1.
        max_gap: Number of frames that a face may be missed and keep its number.
    """

    def __init__(self, min_overlap: float = 0.3, max_gap: int = 30) -> None:
        self.min_overlap, self.max_gap = min_overlap, max_gap
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, faces: Sequence[Face]) -> list[int]:
        """Return the number of each face of the next frame; numbers count from 1 and are never reused.

        Call it for frames without faces too, because tracks end after `max_gap` such frames.
        """
        boxes = np.array([face.box for face in faces], float).reshape(-1, 4)
        matches = self._match(boxes)
        for index, track in enumerate(self._tracks):
            if index in matches:
                track.move(boxes[matches[index]])
            else:
                track.missed += 1
        numbers = {box: self._tracks[track].number for track, box in matches.items()}
        self._tracks = [track for track in self._tracks if track.missed <= self.max_gap]
        return [numbers.get(row) or self._start_track(box) for row, box in enumerate(boxes)]

    def forget(self) -> None:
        """End all tracks, so that all faces get new numbers, e.g. after a cut."""
        self._tracks = []

    def _match(self, boxes: np.ndarray) -> dict[int, int]:
        """Return index of the track -> index of its box."""
        predicted = np.array([track.predict() for track in self._tracks]).reshape(-1, 4)
        return dict(_pairs(box_iou(predicted, boxes), self.min_overlap))

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
    areas = np.prod(np.maximum(first[:, 2:], 0), axis=1)[:, None] + np.prod(
        np.maximum(second[:, 2:], 0), axis=1
    )
    return np.divide(
        intersection, areas - intersection, out=np.zeros_like(intersection), where=areas > intersection
    )
