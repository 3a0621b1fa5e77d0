"""Drawing of predictions: labels, landmarks, bars, and the layout of labels."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.labels import (
    EMOTION_COLORS,
    FER7,
    FERPLUS8,
    OTHER_COLOR,
    contrast_ratio,
    emotion_rgb,
    text_color_on,
)
from fer.faces.base import Face
from fer.predict.annotate import bars_tile, draw, label_tile, truncate
from fer.predict.label_layout import covered_fraction, place_label
from fer.predict.predictor import Prediction


def prediction(box, label="happy", confidence=0.9, uncertain=False, points=None):
    rest = (1 - confidence) / 7
    probabilities = {name: confidence if name == label else rest for name in FERPLUS8.names}
    return Prediction(Face(box, 0.9, points), probabilities, label, confidence, uncertain)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def contains(image, tile):
    """Return whether a label is in the image, pixel by pixel."""
    return cv2.matchTemplate(image, np.ascontiguousarray(tile), cv2.TM_SQDIFF).min() < 1


def labels_of(predictions, height=13):
    texts = [f"{each.label}{'?' * each.uncertain} {100 * each.confidence:.0f} %" for each in predictions]
    return [
        label_tile(text, height, emotion_rgb(each.label))
        for text, each in zip(texts, predictions, strict=True)
    ]


def test_every_label_is_complete():
    boxes = [(20, 60, 90, 90), (130, 70, 90, 90), (330, 5, 90, 90), (460, 300, 90, 90), (400, 390, 90, 90)]
    predictions = [prediction(box, name) for box, name in zip(boxes, FERPLUS8.names, strict=False)]
    predictions.append(prediction((560, 400, 90, 90), "contempt", 0.41, uncertain=True))
    annotated = draw(noise(480, 640), predictions)
    assert all(contains(annotated, tile) for tile in labels_of(predictions))


def test_names_are_prefixes_of_labels():
    annotated = draw(noise(480, 640), [prediction((100, 100, 90, 90))], names=["#7"])
    assert contains(annotated, label_tile("#7 happy 90 %", 13, emotion_rgb("happy")))


def test_boxes_without_labels_have_lines_of_a_chosen_width():
    annotated = draw(np.zeros((200, 200, 3), np.uint8), [prediction((50, 60, 90, 90))], labels=False, line=5)
    rows, columns = np.nonzero((annotated == emotion_rgb("happy")).all(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (58, 152, 48, 142)
    assert (annotated[100] == emotion_rgb("happy")).all(1).sum() == 10


def test_the_input_image_is_unchanged():
    image = noise(100, 100)
    before = image.copy()
    annotated = draw(image, [prediction((10, 10, 60, 60))])
    assert (image == before).all()
    assert (annotated != before).any()
    assert (draw(image, []) == before).all()
    assert annotated[95:, 95:].tolist() == before[95:, 95:].tolist()


def test_landmarks_are_drawn_at_their_positions():
    points = np.array([[120, 130], [170, 130], [145, 155], [125, 175], [165, 175]], np.float32)
    predictions = [prediction((100, 100, 100, 100), points=points)]
    black = np.zeros((300, 300, 3), np.uint8)
    with_points, without = draw(black, predictions), draw(black, predictions, points=False)
    for x, y in points.astype(int):
        assert (with_points[y, x] == 255).all()
    changed = np.argwhere((with_points != without).any(2))[:, ::-1]
    assert np.sqrt(((changed[:, None] - points) ** 2).sum(2)).min(1).max() <= 4


def test_bars_are_as_long_as_the_probabilities():
    probabilities = {"happy": 0.75, "sad": 0.25, "neutral": 0.0}
    tile = bars_tile(probabilities, 12)
    lengths = {name: int((tile == emotion_rgb(name)).all(2).sum(1).max()) for name in probabilities}
    assert lengths["happy"] / lengths["sad"] == pytest.approx(3, rel=0.1)
    assert lengths["neutral"] <= 1
    annotated = draw(noise(480, 640), [prediction((20, 60, 150, 150))], bars=True)
    assert contains(annotated, bars_tile(prediction((0, 0, 1, 1)).probabilities, round(0.75 * 21)))


# Also beyond the edge of the image.
BOXES = st.tuples(st.integers(-50, 640), st.integers(-50, 480), st.floats(1, 300), st.floats(1, 300))


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=6), st.integers(1, 480), st.integers(1, 640), st.booleans())
def test_images_of_any_size(boxes, height, width, uncertain):
    points = np.array([[np.nan, 1], [1e30, 5], [-40, 3], [7, 7], [0, np.inf]], np.float32)
    predictions = [prediction(box, "sad", 0.3, uncertain, points) for box in boxes]
    annotated = draw(
        np.zeros((height, width, 3), np.uint8), predictions, names=["#1"] * len(predictions), bars=True
    )
    assert annotated.shape == (height, width, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=12))
def test_labels_are_inside_the_image_and_do_not_overlap(boxes):
    shape, size = (640, 480), (90, 18)
    faces = [
        np.array([left, top, left + int(width), top + int(height)]) for left, top, width, height in boxes
    ]
    labels = []
    for face in faces:
        labels.append(place_label(size, face, labels, faces, shape, reach=90))
    for left, top, right, bottom in labels:
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
    # The labels of more faces may not fit into a corner.
    if len({tuple(face) for face in faces}) == len(faces) <= 3:
        for one, other in itertools.combinations(labels, 2):
            assert covered_fraction(one[None], [other])[0] == 0


def test_distant_boxes_do_not_change_the_layout(monkeypatch):
    """Only boxes near a face can affect its label: checking all others gives the same layout."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 900, (80, 2))
    faces = [np.array([x, y, x + 60, y + 60]) for x, y in corners]

    def positions():
        placed = []
        for face in faces:
            placed.append(place_label((90, 18), face, placed, faces, (1000, 1000), reach=90))
        return np.stack(placed)

    near = positions()
    monkeypatch.setattr(
        "fer.predict.label_layout._touching", lambda others, window: np.array(others).reshape(-1, 4)
    )
    np.testing.assert_array_equal(near, positions())


def test_overlap_is_the_fraction_of_pixels():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (20, 2))
    labels = np.hstack([corners, corners + rng.integers(1, 20, (20, 2))])
    for one, other in itertools.product(labels, labels):
        masks = np.zeros((2, 50, 50), bool)
        for mask, (left, top, right, bottom) in zip(masks, (one, other), strict=True):
            mask[top:bottom, left:right] = True
        expected = (masks[0] & masks[1]).sum() / masks[0].sum()
        assert covered_fraction(one[None], [other])[0] == pytest.approx(expected)


def test_text_has_enough_contrast_on_every_colour():
    assert contrast_ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    # A known value of WCAG.
    assert contrast_ratio((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)
    for label in (*EMOTION_COLORS, "a custom emotion"):
        assert contrast_ratio(emotion_rgb(label), text_color_on(emotion_rgb(label))) >= 4.5
    assert emotion_rgb("other") == tuple(bytes.fromhex(OTHER_COLOR[1:]))


def test_a_label_that_is_too_wide_is_truncated():
    text = truncate("surprise 100 %", 9, 40)
    assert "surprise 100 %".startswith(text)
    assert label_tile(text, 9, emotion_rgb("surprise")).shape[1] <= 40


def test_labels_of_a_crowd_are_complete_and_shortened_before_they_cover_a_face():
    """29 faces in rows: each has a label, down to its number."""
    rng = np.random.default_rng(1)
    boxes = [
        (15 + 88 * column + 44 * (row % 2) + int(rng.integers(-6, 6)), 14 + 74 * row, 54, 56)
        for row in range(4)
        for column in range(8 - row % 2)
    ][:29]
    names = [f"#{number}" for number in range(1, 30)]
    predictions = [prediction(box, FER7.names[i % 7], 0.4, uncertain=True) for i, box in enumerate(boxes)]
    annotated = draw(np.full((340, 720, 3), 120, np.uint8), predictions, names=names)
    for name, one in zip(names, predictions, strict=True):
        texts = (f"{name} {one.label}? 40 %", f"{name} {one.label}?", name)
        tiles = [label_tile(text, height, emotion_rgb(one.label)) for text in texts for height in (9, 10)]
        assert any(contains(annotated, tile) for tile in tiles), name
