"""Boxes, points, labels and bars, of a size that suits the picture and its faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fer.annotate.places import overlaps, place
from fer.annotate.tiles import SMALLEST, bars_tile, label_tile, shortened
from fer.emotion_colors import INK, PAPER, RGB, rgb
from fer.prediction import Prediction

_ROOM_FOR_BARS = 0.35  # of the picture, at most
_HIDES = 0.05  # of the bars may lie on a face: more hides what one wants to see
_REACH = 7  # heights of its font that a label may be away from its face
_CROWD = 10  # more faces than this have smaller labels
_FAR_OUT = 1e5  # pixels: OpenCV's fixed-point places overflow somewhere beyond
Pixel = tuple[int, int]


@dataclass
class _Sheet:
    """A picture with its faces, int ``(4,)`` of left, top, right, bottom each, and the labels put into it."""

    canvas: np.ndarray
    faces: list[np.ndarray]
    labels: list[np.ndarray] = field(default_factory=list)

    def find_place(self, tile: np.ndarray, face: np.ndarray, beside: bool = False) -> np.ndarray:
        height, width = tile.shape[:2]
        shape, reach = (self.canvas.shape[1], self.canvas.shape[0]), _REACH * self.font_height(face)
        return place((width, height), face, self.labels, self.faces, shape, reach, beside)

    def put(self, tile: np.ndarray, spot: np.ndarray) -> None:
        left, top = spot[:2]
        room = self.canvas[top : top + tile.shape[0], left : left + tile.shape[1]]
        room[:] = tile[: room.shape[0], : room.shape[1]]

    def font_height(self, face: np.ndarray) -> int:
        """Return a seventh of the face, but what can be read in the whole picture, in pixels."""
        side, crowd = min(self.canvas.shape[:2]), len(self.faces) > _CROWD
        least = max(SMALLEST, min(10 if crowd else 13, round(side / 12)), round(side / (70 if crowd else 45)))
        return int(np.clip(round(min(face[2:] - face[:2]) / 7), least, max(least, round(side / 18))))


def draw(
    picture: np.ndarray,
    predictions: Sequence[Prediction],
    points: bool = True,
    names: Sequence[str] | None = None,
    bars: bool = False,
) -> np.ndarray:
    """Draw faces and what they express into a copy of a picture.

    Each face gets a box in the colour of its emotion and a label with the emotion and its probability. An
    uncertain answer has a dashed box and a question mark. Labels stay inside the picture and, as long as
    there is room, off each other.

    Args:
        picture: RGB, uint8 ``(H, W, 3)``.
        predictions: Of its faces.
        points: Draw eyes, nose and corners of the mouth, where the detector gave them.
        names: Put before the labels, one a face, e.g. ``"#3"``.
        bars: Draw the probability of every emotion too, where there is room.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    sheet = _Sheet(picture.copy(order="C"), [_corners(prediction, picture) for prediction in predictions])
    line = max(1, round(min(picture.shape[:2]) / 200))
    for prediction, face in zip(predictions, sheet.faces, strict=True):
        _draw_box(sheet.canvas, face, rgb(prediction.label), line, prediction.uncertain)
        if points and prediction.face.points is not None:
            _draw_points(sheet.canvas, prediction.face.points, face)
    _draw_labels(sheet, predictions, names or [""] * len(predictions))
    for prediction, face in zip(predictions, sheet.faces, strict=True):
        if bars:
            _draw_bars(sheet, prediction, face)
    return sheet.canvas


def _corners(prediction: Prediction, picture: np.ndarray) -> np.ndarray:
    """Return left, top, right and bottom of a face, inside the picture, int ``(4,)``."""
    left, top, width, height = prediction.face.box
    ends = np.array([[left, top], [left + width, top + height]]).round().astype(int)
    return ends.clip(0, np.array(picture.shape[1::-1]) - 1).ravel()


def _draw_box(canvas: np.ndarray, face: np.ndarray, color: RGB, line: int, dashed: bool) -> None:
    """Draw a box with a thin dark rim, which keeps it visible on a ground of its own colour."""
    for ink, rim in ((INK, 1), (color, 0)):
        before, after = (line - 1) // 2 + rim, line // 2 + rim
        for (x, y), (x_end, y_end) in _sides(face, 8 * line if dashed else None):
            cv2.rectangle(canvas, (x - before, y - before), (x_end + after, y_end + after), ink, -1)


def _sides(face: np.ndarray, dash: int | None) -> Iterator[tuple[Pixel, Pixel]]:
    left, top, right, bottom = (int(value) for value in face)
    for y in (top, bottom):
        yield from _dashes((left, y), (right, y), dash) if dash else [((left, y), (right, y))]
    for x in (left, right):
        yield from _dashes((x, top), (x, bottom), dash) if dash else [((x, top), (x, bottom))]


def _dashes(start: Pixel, end: Pixel, length: int) -> Iterator[tuple[Pixel, Pixel]]:
    """Cut a side of a box into dashes, so that it begins and ends with one."""
    count = max(3, int(np.hypot(end[0] - start[0], end[1] - start[1]) / length)) // 2 * 2 + 1
    ends = [(int(x), int(y)) for x, y in np.linspace(start, end, count + 1).round()]
    return zip(ends[::2], ends[1::2], strict=True)


def _draw_points(canvas: np.ndarray, points: np.ndarray, face: np.ndarray) -> None:
    """Draw dots that show on skin, dark or light: white with a dark rim."""
    radius = max(1.0, min(face[2:] - face[:2]) / 80)
    for x, y in points[(np.abs(points) < _FAR_OUT).all(1)]:
        centre = (round(16 * float(x)), round(16 * float(y)))  # sixteenths of a pixel
        cv2.circle(canvas, centre, round(16 * (radius + 1)), INK, -1, cv2.LINE_AA, 4)
        cv2.circle(canvas, centre, round(16 * radius), PAPER, -1, cv2.LINE_AA, 4)


def _draw_labels(sheet: _Sheet, predictions: Sequence[Prediction], names: Sequence[str]) -> None:
    tiles = []
    for prediction, name, face in zip(predictions, names, sheet.faces, strict=True):
        tile, spot = _plan_label(sheet, prediction, name, face)
        tiles.append(tile)
        sheet.labels.append(spot)
    for prediction, face, spot in zip(predictions, sheet.faces, sheet.labels, strict=True):
        _draw_lead(sheet.canvas, spot, face, rgb(prediction.label))
    for tile, spot in zip(tiles, sheet.labels, strict=True):
        sheet.put(tile, spot)  # after the leads, which pass below


def _plan_label(
    sheet: _Sheet, prediction: Prediction, name: str, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the longest label that finds room on no other one, or the shortest, and its place."""
    height, color = sheet.font_height(face), rgb(prediction.label)
    for text in _texts(prediction, name):
        tile = label_tile(shortened(text, height, sheet.canvas.shape[1]), height, color)
        spot = sheet.find_place(tile, face)
        if not overlaps(spot[None], sheet.labels).any():
            break
    return tile, spot


def _texts(prediction: Prediction, name: str) -> tuple[str, ...]:
    """Return what a label says, the longest first."""
    label = f"{prediction.label}?" if prediction.uncertain else prediction.label
    prefix = f"{name} " if name else ""
    return f"{prefix}{label} {100 * prediction.confidence:.0f} %", f"{prefix}{label}"


def _draw_lead(canvas: np.ndarray, spot: np.ndarray, face: np.ndarray, color: RGB) -> None:
    """Join a face and a label that had to go further away."""
    if overlaps((face + np.array([-1, -1, 1, 1]))[None], [spot])[0] > 0:
        return
    start = (spot[:2] + spot[2:]) // 2
    end = start.clip(face[:2], face[2:])
    for ink, width in ((INK, 3), (color, 1)):
        cv2.line(canvas, start.tolist(), end.tolist(), ink, width, cv2.LINE_AA)


def _draw_bars(sheet: _Sheet, prediction: Prediction, face: np.ndarray) -> None:
    """Draw bars beside a face, unless they would hide too much or another label."""
    tile = bars_tile(prediction.probabilities, max(SMALLEST, round(0.75 * sheet.font_height(face))))
    too_high, too_wide = np.array(tile.shape[:2]) > sheet.canvas.shape[:2]
    if too_high or too_wide or tile.size > _ROOM_FOR_BARS * sheet.canvas.size:
        return
    spot = sheet.find_place(tile, face, beside=True)
    if overlaps(spot[None], sheet.labels)[0] == 0 and overlaps(spot[None], sheet.faces)[0] <= _HIDES:
        _draw_lead(sheet.canvas, spot, face, rgb(prediction.label))
        sheet.labels.append(spot)
        sheet.put(tile, spot)
