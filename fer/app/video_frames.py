"""The faces of a video with unsmoothed probabilities, from which results with other settings are computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from fer.faces.base import Face
from fer.predict.predictor import Prediction, make_prediction
from fer.predict.video.reader import Frame
from fer.predict.video.timeline import Row, csv_header, csv_lines, json_lines, to_row
from fer.predict.video.tracking import Smoother

# Side of a thumbnail in pixels.
_THUMBNAIL_SIDE = 96
# A thumbnail is replaced during this time after the face appears, as it may fade or move into the image, and
# when the face becomes larger by this factor.
_SETTLING_SECONDS, _LARGER = 1.0, 1.2
# Faces with a thumbnail; in a long video of a street very many are seen.
_MAX_THUMBNAILS = 200


class _Faces(NamedTuple):
    """The faces of a frame: ``N`` numbers, boxes ``(N, 4)``, scores ``(N,)``, landmarks, ``(N, K)`` probs."""

    seconds: float
    numbers: list[int]
    boxes: np.ndarray
    scores: np.ndarray
    points: list[np.ndarray | None]
    probs: np.ndarray


@dataclass(frozen=True, eq=False)
class _Thumbnail:
    """A square image of a face.

    Attributes:
        image: uint8 RGB.
        area: Of the face in pixels.
        first_seen: Time in seconds at which the face appeared.
    """

    image: np.ndarray
    area: float
    first_seen: float


class VideoFrames:
    """The faces of each frame, about 200 bytes per face.

    Args:
        emotions: The ``K`` emotions of the model.

    Attributes:
        emotions: As given.
        last_duration: Duration of the last frame in seconds.
        is_complete: Whether all frames of the video are here; False beyond the limit of length.
        most_faces: Largest number of faces detected in a frame, including those that were not classified.
    """

    def __init__(self, emotions: Sequence[str]) -> None:
        self.emotions, self.last_duration = tuple(emotions), 0.0
        self.most_faces, self.is_complete = 0, True
        self._frames: list[_Faces] = []
        self._thumbnails: dict[int, _Thumbnail] = {}

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    @property
    def seconds(self) -> float:
        """The time at which the last frame ends."""
        return self._frames[-1].seconds + self.last_duration if self._frames else 0.0

    def add(self, frame: Frame, predictions: Sequence[Prediction], numbers: Sequence[int]) -> None:
        """Add a frame: its faces with the probabilities of this frame alone, and the number of each face."""
        faces = [prediction.face for prediction in predictions]
        self._frames.append(
            _Faces(
                frame.seconds,
                list(numbers),
                np.array([face.box for face in faces], float).reshape(-1, 4),
                np.array([face.score for face in faces], float),
                [face.points for face in faces],
                np.array([list(prediction.probabilities.values()) for prediction in predictions], float),
            )
        )
        for number, face in zip(numbers, faces, strict=True):
            self._keep_thumbnail(number, face, frame)

    def _keep_thumbnail(self, number: int, face: Face, frame: Frame) -> None:
        area, known = face.box[2] * face.box[3], self._thumbnails.get(number)
        if known is None:
            is_better, first_seen = len(self._thumbnails) < _MAX_THUMBNAILS, frame.seconds
        else:
            first_seen = known.first_seen
            is_better = frame.seconds < first_seen + _SETTLING_SECONDS or area > _LARGER * known.area
        if is_better:
            self._thumbnails[number] = _Thumbnail(_square(frame.image, face), area, first_seen)

    def thumbnail(self, number: int) -> np.ndarray | None:
        """Return the face where it is about the largest, uint8 RGB ``(96, 96, 3)``; None if unknown."""
        found = self._thumbnails.get(number)
        return None if found is None else found.image

    def track(
        self, smooth: float, uncertain_below: float | None
    ) -> Iterator[tuple[float, list[tuple[int, Prediction]]]]:
        """Yield the time of each frame, and its faces as `FaceTracker` gives them with these settings.

        Args:
            smooth: Time constant of the smoothing in seconds; 0: none.
            uncertain_below: A prediction is uncertain below this probability; None: never.
        """
        smoother = Smoother(smooth)
        for frame in self._frames:
            rows = smoother.update(frame.numbers, frame.probs, frame.seconds)
            yield (
                frame.seconds,
                [
                    (number, make_prediction(face, self.emotions, row, uncertain_below))
                    for number, face, row in zip(frame.numbers, _faces(frame), rows, strict=True)
                ],
            )

    def to_csv(self, smooth: float, uncertain_below: float | None) -> str:
        """Return the timeline as fer-predict writes it, a row for each face of a frame."""
        rows = self._rows(smooth, uncertain_below)
        return csv_header(self.emotions) + "".join(map(csv_lines, rows))

    def to_jsonl(self, smooth: float, uncertain_below: float | None) -> str:
        """Return the timeline as JSONL."""
        return "".join(map(json_lines, self._rows(smooth, uncertain_below)))

    def _rows(self, smooth: float, uncertain_below: float | None) -> Iterator[list[Row]]:
        for index, (seconds, faces) in enumerate(self.track(smooth, uncertain_below)):
            yield [to_row(index, seconds, number, prediction) for number, prediction in faces]


def _faces(frame: _Faces) -> Iterator[Face]:
    for box, score, points in zip(frame.boxes.tolist(), frame.scores.tolist(), frame.points, strict=True):
        yield Face(tuple(box), score, points)


def _square(image: np.ndarray, face: Face) -> np.ndarray:
    """Return the square around a face, as far as it is inside the image, scaled to a thumbnail."""
    left, top, width, height = face.box
    side = max(1, min(round(1.2 * max(width, height)), *image.shape[:2]))
    corners = np.array([left + width / 2, top + height / 2]) - side / 2
    x, y = corners.round().astype(int).clip(0, np.array(image.shape[1::-1]) - side)
    square = np.ascontiguousarray(image[y : y + side, x : x + side])
    return cv2.resize(square, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
