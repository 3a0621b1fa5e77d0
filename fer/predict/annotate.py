"""Draw predictions into an image: boxes, landmarks, labels and bars, scaled to the image and its faces."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer.core.labels import DARK_TEXT, RGB, WHITE, emotion_rgb, text_color_on
from fer.core.text import percent
from fer.predict.label_layout import covered_fraction, place_label
from fer.predict.predictor import Prediction

# Bars are drawn if they cover at most the first fraction of the image, and at most the second fraction of
# their own area covers faces.
_MAX_BARS_AREA, _MAX_FACE_COVERAGE = 0.35, 0.05
# Largest distance of a label from its face, in font heights.
_MAX_LABEL_DISTANCE = 7
# With more faces than this, labels are smaller, and shortened rather than placed over another face.
_MAX_FACES_LARGE_LABELS = 10
# Beyond this coordinate in pixels, OpenCV's fixed-point coordinates overflow.
_MAX_COORDINATE = 1e5
# Below this height in pixels, Pillow's default font is not legible.
MIN_FONT_HEIGHT = 9
# Labels up to this font height in pixels are cached; larger ones take up to a megabyte each.
_MAX_CACHED_HEIGHT = 32
_BARS_BACKGROUND = (244, 245, 247)
Pixel = tuple[int, int]


@dataclass
class _Layout:
    """The image being annotated, and the boxes of its faces and labels.

    Attributes:
        canvas: RGB, uint8 ``(H, W, 3)``.
        faces: int ``(4,)`` each: left, top, right, bottom.
        labels: Boxes of the labels placed so far.
    """

    canvas: np.ndarray
    faces: list[np.ndarray]
    labels: list[np.ndarray] = field(default_factory=list)

    def place(self, tile: np.ndarray, face: np.ndarray, beside: bool = False) -> np.ndarray:
        """Return a box for a label, see `place_label`; it is not added to ``labels``."""
        height, width = tile.shape[:2]
        shape = self.canvas.shape[1], self.canvas.shape[0]
        reach = _MAX_LABEL_DISTANCE * self.font_height(face)
        return place_label((width, height), face, self.labels, self.faces, shape, reach, beside)

    def paste(self, tile: np.ndarray, box: np.ndarray) -> None:
        """Copy a label into the canvas at the top left corner of a box, clipped to the canvas."""
        left, top = box[:2]
        region = self.canvas[top : top + tile.shape[0], left : left + tile.shape[1]]
        region[:] = tile[: region.shape[0], : region.shape[1]]

    def font_height(self, face: np.ndarray) -> int:
        """Return the font height in pixels: a seventh of the face, within limits that depend on the image."""
        side, crowd = min(self.canvas.shape[:2]), len(self.faces) > _MAX_FACES_LARGE_LABELS
        minimum = max(
            MIN_FONT_HEIGHT, min(10 if crowd else 13, round(side / 12)), round(side / (70 if crowd else 45))
        )
        return int(np.clip(round(min(face[2:] - face[:2]) / 7), minimum, max(minimum, round(side / 18))))


def draw(
    image: np.ndarray,
    predictions: Sequence[Prediction],
    points: bool = True,
    names: Sequence[str] | None = None,
    bars: bool = False,
    labels: bool = True,
    line: int | None = None,
) -> np.ndarray:
    """Return a copy of an image with its predictions drawn in.

    Each face gets a box in the colour of its emotion and a label with the emotion and its probability. An
    uncertain prediction has a dashed box and a question mark. Labels stay inside the image and, if there is
    space, do not overlap.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        predictions: Predictions for its faces.
        points: Draw the landmarks (eyes, nose, mouth corners), if the detector gives them.
        names: Prefix of each label, one per face, e.g. ``"#3"``.
        bars: Also draw the probability of every emotion, if there is space.
        labels: Draw the labels; without them, boxes alone.
        line: Width of the boxes' lines in pixels; None: by the size of the image.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    layout = _Layout(image.copy(order="C"), [_corners(prediction, image) for prediction in predictions])
    line = line or max(1, round(min(image.shape[:2]) / 200))
    for prediction, face in zip(predictions, layout.faces, strict=True):
        _draw_box(layout.canvas, face, _color(prediction), line, prediction.uncertain)
        if points and prediction.face.points is not None:
            _draw_points(layout.canvas, prediction.face.points, face)
    if labels:
        _draw_labels(layout, predictions, names or [""] * len(predictions))
    if bars:
        for prediction, face in zip(predictions, layout.faces, strict=True):
            _draw_bars(layout, prediction, face)
    return layout.canvas


def _color(prediction: Prediction) -> RGB:
    return emotion_rgb(prediction.label, prediction.probabilities)


def _corners(prediction: Prediction, image: np.ndarray) -> np.ndarray:
    """Return left, top, right and bottom of a face, clipped to the image, int ``(4,)``."""
    left, top, width, height = prediction.face.box
    corners = np.array([[left, top], [left + width, top + height]]).round().astype(int)
    return corners.clip(0, np.array(image.shape[1::-1]) - 1).ravel()


def _draw_box(canvas: np.ndarray, face: np.ndarray, color: RGB, line: int, dashed: bool) -> None:
    """Draw a box with a thin dark outline, which keeps it visible on a background of the same colour."""
    for ink, outline in ((DARK_TEXT, 1), (color, 0)):
        before, after = (line - 1) // 2 + outline, line // 2 + outline
        for (x, y), (x_end, y_end) in _sides(face, 8 * line if dashed else None):
            cv2.rectangle(canvas, (x - before, y - before), (x_end + after, y_end + after), ink, -1)


def _sides(face: np.ndarray, dash: int | None) -> Iterator[tuple[Pixel, Pixel]]:
    """Yield start and end of the sides of a box, or of dashes of this length in pixels along them."""
    left, top, right, bottom = (int(value) for value in face)
    for y in (top, bottom):
        yield from _dashes((left, y), (right, y), dash) if dash else [((left, y), (right, y))]
    for x in (left, right):
        yield from _dashes((x, top), (x, bottom), dash) if dash else [((x, top), (x, bottom))]


def _dashes(start: Pixel, end: Pixel, length: int) -> Iterator[tuple[Pixel, Pixel]]:
    """Split a side of a box into dashes; the side starts and ends with a dash."""
    count = max(3, int(np.hypot(end[0] - start[0], end[1] - start[1]) / length)) // 2 * 2 + 1
    ends = [(int(x), int(y)) for x, y in np.linspace(start, end, count + 1).round()]
    return zip(ends[::2], ends[1::2], strict=True)


def _draw_points(canvas: np.ndarray, points: np.ndarray, face: np.ndarray) -> None:
    """Draw white dots with a dark outline, visible on light and dark skin."""
    radius = max(1.0, min(face[2:] - face[:2]) / 80)
    for x, y in points[(np.abs(points) < _MAX_COORDINATE).all(1)]:
        # OpenCV takes the coordinates in sixteenths of a pixel (shift=4).
        centre = (round(16 * float(x)), round(16 * float(y)))
        cv2.circle(canvas, centre, round(16 * (radius + 1)), DARK_TEXT, -1, cv2.LINE_AA, 4)
        cv2.circle(canvas, centre, round(16 * radius), WHITE, -1, cv2.LINE_AA, 4)


def _draw_labels(layout: _Layout, predictions: Sequence[Prediction], names: Sequence[str]) -> None:
    tiles = []
    for prediction, name, face in zip(predictions, names, layout.faces, strict=True):
        tile, box = _plan_label(layout, prediction, name, face)
        tiles.append(tile)
        layout.labels.append(box)
    for prediction, face, box in zip(predictions, layout.faces, layout.labels, strict=True):
        _draw_leader_line(layout.canvas, box, face, _color(prediction))
    # Last, so that labels cover the leader lines.
    for tile, box in zip(tiles, layout.labels, strict=True):
        layout.paste(tile, box)


def _plan_label(
    layout: _Layout, prediction: Prediction, name: str, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the longest label that covers no other label, else the shortest, and its position.

    With many faces, it must cover no other face either.
    """
    height, color = layout.font_height(face), _color(prediction)
    for text in _texts(prediction, name):
        tile = label_tile(truncate(text, height, layout.canvas.shape[1]), height, color)
        box = layout.place(tile, face)
        crowd = layout.faces if len(layout.faces) > _MAX_FACES_LARGE_LABELS else []
        on_faces = covered_fraction(box[None], [other for other in crowd if other is not face])
        if not covered_fraction(box[None], layout.labels).any() and on_faces[0] <= _MAX_FACE_COVERAGE:
            break
    return tile, box


def _texts(prediction: Prediction, name: str) -> tuple[str, ...]:
    """Return the possible texts of a label, longest first; the shortest is the number of the face."""
    label = f"{prediction.label}?" if prediction.uncertain else prediction.label
    prefix = f"{name} " if name else ""
    texts = f"{prefix}{label} {percent(prediction.confidence, 0)}", f"{prefix}{label}"
    return (*texts, name) if name else texts


def _draw_leader_line(canvas: np.ndarray, box: np.ndarray, face: np.ndarray, color: RGB) -> None:
    """Draw a line between a face and a label that is not adjacent to it."""
    if covered_fraction((face + np.array([-1, -1, 1, 1]))[None], [box])[0] > 0:
        return
    start = (box[:2] + box[2:]) // 2
    end = start.clip(face[:2], face[2:])
    for ink, width in ((DARK_TEXT, 3), (color, 1)):
        cv2.line(canvas, start.tolist(), end.tolist(), ink, width, cv2.LINE_AA)


def _draw_bars(layout: _Layout, prediction: Prediction, face: np.ndarray) -> None:
    """Draw bars beside a face, unless they would cover too much of the image, a face, or a label."""
    tile = bars_tile(prediction.probabilities, max(MIN_FONT_HEIGHT, round(0.75 * layout.font_height(face))))
    too_high, too_wide = np.array(tile.shape[:2]) > layout.canvas.shape[:2]
    if too_high or too_wide or tile.size > _MAX_BARS_AREA * layout.canvas.size:
        return
    box = layout.place(tile, face, beside=True)
    on_labels, on_faces = (covered_fraction(box[None], others)[0] for others in (layout.labels, layout.faces))
    if on_labels == 0 and on_faces <= _MAX_FACE_COVERAGE:
        _draw_leader_line(layout.canvas, box, face, _color(prediction))
        layout.labels.append(box)
        layout.paste(tile, box)


@lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def truncate(text: str, height: int, max_width: int) -> str:
    """Return the text, truncated so that its label is at most ``max_width`` pixels wide."""
    while len(text) > 1 and _width(text, height) > max_width:
        text = text[:-1].rstrip()
    return text


def _width(text: str, height: int) -> int:
    return round(_font(height).getlength(text)) + 2 * _margin(height)


def _margin(height: int) -> int:
    return max(2, round(0.35 * height))


def label_tile(text: str, height: int, color: RGB) -> np.ndarray:
    """Return a text on a filled box, RGB, uint8 ``(h, w, 3)``.

    Args:
        text: One line.
        height: Font height in pixels.
        color: Colour of the box; the text is dark or white, whichever has more contrast.
    """
    return (_cached_label if height <= _MAX_CACHED_HEIGHT else _label)(text, height, color)


def _label(text: str, height: int, color: RGB) -> np.ndarray:
    """Return `label_tile` without the cache."""
    image = Image.new("RGB", (_width(text, height), round(1.5 * height)), color)
    middle = (_margin(height), image.height / 2)
    ImageDraw.Draw(image).text(middle, text, text_color_on(color), _font(height), anchor="lm")
    return np.asarray(image)


_cached_label = lru_cache(maxsize=1024)(_label)


def bars_tile(probabilities: Mapping[str, float], height: int) -> np.ndarray:
    """Return a bar chart of the probabilities on a light background, RGB, uint8 ``(h, w, 3)``.

    Args:
        probabilities: Probability of each emotion, one line each, in this order.
        height: Font height in pixels.
    """
    line, margin, bar = round(1.35 * height), _margin(height), 6 * height
    names, number = max(_width(name, height) for name in probabilities), _width("100 %", height)
    size = (names + bar + number + margin, line * len(probabilities) + margin)
    image = Image.new("RGB", size, _BARS_BACKGROUND)
    pen = ImageDraw.Draw(image)
    for row, (name, probability) in enumerate(probabilities.items()):
        top = margin // 2 + row * line
        middle, right = top + line / 2, names + round(bar * probability)
        pen.text((margin, middle), name, DARK_TEXT, _font(height), anchor="lm")
        pen.rectangle((names, top + line // 5, names + bar, top + line - line // 5), WHITE)
        pen.rectangle(
            (names, top + line // 5, right, top + line - line // 5), emotion_rgb(name, probabilities)
        )
        pen.text((size[0] - margin, middle), percent(probability, 0), DARK_TEXT, _font(height), anchor="rm")
    return np.asarray(image)
