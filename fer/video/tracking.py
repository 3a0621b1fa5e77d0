"""Which face of a frame is which of the frame before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fer.faces.face import Face

# Weight of the newest step in a face's speed. Four drawn faces that cross, hide each other and are missed at
# times take another's number 0.06 times in 1,000 frames; 0.53 times where speed is left out.
_TRUST = 0.5


@dataclass
class _Track:
    number: int
    box: np.ndarray
    speed: np.ndarray  # pixels a frame, x and y
    unseen: int = 0  # frames since it was seen

    def expected(self) -> np.ndarray:
        """Return where the box is now, if the face went on as before."""
        return self.box + np.concatenate([self.speed * (self.unseen + 1), [0, 0]])

    def move(self, box: np.ndarray) -> None:
        step = (box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2) / (self.unseen + 1)
        self.speed += _TRUST * (step - self.speed)
        self.box, self.unseen = box, 0


class Tracker:
    """Gives the faces of successive frames numbers that stay with them.

    Faces are matched to where the known ones are expected, the pair of the largest overlap first (after SORT,
    Bewley et al. 2016, https://arxiv.org/abs/1602.00763). A running mean of the speed does for its Kalman
    filter, and pairing in turn for its Hungarian method: equally good on drawn scenes of two to eight faces.

    Args:
        min_overlap: Least intersection over union of a face and its expected place, 0 to 1.
        max_gap: Frames that a face may be out of sight and keep its number.
    """

    def __init__(self, min_overlap: float = 0.3, max_gap: int = 30) -> None:
        self.min_overlap, self.max_gap = min_overlap, max_gap
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, faces: Sequence[Face]) -> list[int]:
        """Return the number of each face of the next frame; numbers count from 1 and are never used again.

        Call it for frames without a face, too: their number decides when a face is forgotten.
        """
        boxes = np.array([face.box for face in faces], float).reshape(-1, 4)
        found = self._match(boxes)
        for number, track in enumerate(self._tracks):
            if number in found:
                track.move(boxes[found[number]])
            else:
                track.unseen += 1
        numbers = {box: self._tracks[track].number for track, box in found.items()}
        self._tracks = [track for track in self._tracks if track.unseen <= self.max_gap]
        return [numbers.get(row) or self._begin(box) for row, box in enumerate(boxes)]

    def forget(self) -> None:
        """Give every face that follows a new number, as after a cut."""
        self._tracks = []

    def _match(self, boxes: np.ndarray) -> dict[int, int]:
        """Return position of the box by position of the track."""
        expected = np.array([track.expected() for track in self._tracks]).reshape(-1, 4)
        return dict(_pairs(overlaps(expected, boxes), self.min_overlap))

    def _begin(self, box: np.ndarray) -> int:
        self._tracks.append(_Track(self._next, box, np.zeros(2)))
        self._next += 1
        return self._next - 1


def _pairs(shared: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """Yield row and column of the largest overlap that is left, until none reaches ``least``."""
    left = shared.copy()
    while left.size and left.max() >= least:
        row, column = np.unravel_index(left.argmax(), left.shape)
        left[row], left[:, column] = -1, -1
        yield int(row), int(column)


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every two boxes.

    Args:
        first: float ``(A, 4)``: left, top, width, height.
        second: float ``(B, 4)``.

    Returns:
        float ``(A, B)``, 0 to 1; boxes without area overlap with none.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, :2] + first[:, None, 2:], second[None, :, :2] + second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = np.prod(np.maximum(first[:, 2:], 0), axis=1)[:, None] + np.prod(
        np.maximum(second[:, 2:], 0), axis=1
    )
    return np.divide(shared, areas - shared, out=np.zeros_like(shared), where=areas > shared)
