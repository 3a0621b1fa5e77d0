import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.annotate import draw
from fer.annotate.places import overlaps, place
from fer.annotate.tiles import bars_tile, label_tile, shortened
from fer.emotion_colors import EMOTION_COLORS, OTHER, contrast, ink_on, rgb
from fer.faces.face import Face
from fer.labels import FERPLUS8
from fer.prediction import Prediction


def prediction(box, label="happy", confidence=0.9, uncertain=False, points=None):
    rest = (1 - confidence) / 7
    probabilities = {name: confidence if name == label else rest for name in FERPLUS8.names}
    return Prediction(Face(box, 0.9, points), probabilities, label, confidence, uncertain)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def found(picture, tile):
    """Tell whether a label is there, pixel by pixel."""
    return cv2.matchTemplate(picture, np.ascontiguousarray(tile), cv2.TM_SQDIFF).min() < 1


def labels_of(told, height=13):
    texts = [f"{one.label}{'?' * one.uncertain} {100 * one.confidence:.0f} %" for one in told]
    return [label_tile(text, height, rgb(one.label)) for text, one in zip(texts, told, strict=True)]


def test_every_label_is_there_whole():
    boxes = [(20, 60, 90, 90), (130, 70, 90, 90), (330, 5, 90, 90), (460, 300, 90, 90), (400, 390, 90, 90)]
    told = [prediction(box, name) for box, name in zip(boxes, FERPLUS8.names, strict=False)]
    told.append(prediction((560, 400, 90, 90), "contempt", 0.41, uncertain=True))
    drawn = draw(noise(480, 640), told)
    assert all(found(drawn, tile) for tile in labels_of(told))


def test_names_are_put_before():
    drawn = draw(noise(480, 640), [prediction((100, 100, 90, 90))], names=["#7"])
    assert found(drawn, label_tile("#7 happy 90 %", 13, rgb("happy")))


def test_the_picture_itself_stays_as_it_is():
    picture = noise(100, 100)
    before = picture.copy()
    drawn = draw(picture, [prediction((10, 10, 60, 60))])
    assert (picture == before).all()
    assert (drawn != before).any()
    assert (draw(picture, []) == before).all()
    assert drawn[95:, 95:].tolist() == before[95:, 95:].tolist()


def test_points_are_drawn_where_they_are():
    points = np.array([[120, 130], [170, 130], [145, 155], [125, 175], [165, 175]], np.float32)
    told = [prediction((100, 100, 100, 100), points=points)]
    black = np.zeros((300, 300, 3), np.uint8)
    with_points, without = draw(black, told), draw(black, told, points=False)
    for x, y in points.astype(int):
        assert (with_points[y, x] == 255).all()
    changed = np.argwhere((with_points != without).any(2))[:, ::-1]
    assert np.sqrt(((changed[:, None] - points) ** 2).sum(2)).min(1).max() <= 4


def test_bars_are_as_long_as_the_probabilities():
    probabilities = {"happy": 0.75, "sad": 0.25, "neutral": 0.0}
    tile = bars_tile(probabilities, 12)
    lengths = {name: int((tile == rgb(name)).all(2).sum(1).max()) for name in probabilities}
    assert lengths["happy"] / lengths["sad"] == pytest.approx(3, rel=0.1)
    assert lengths["neutral"] <= 1
    drawn = draw(noise(480, 640), [prediction((20, 60, 150, 150))], bars=True)
    assert found(drawn, bars_tile(prediction((0, 0, 1, 1)).probabilities, round(0.75 * 21)))


BOXES = st.tuples(
    st.integers(-50, 640), st.integers(-50, 480), st.floats(1, 300), st.floats(1, 300)
)  # over the edge too


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=6), st.integers(1, 480), st.integers(1, 640), st.booleans())
def test_nothing_breaks_at_any_size(boxes, height, width, uncertain):
    points = np.array([[np.nan, 1], [1e30, 5], [-40, 3], [7, 7], [0, np.inf]], np.float32)
    told = [prediction(box, "sad", 0.3, uncertain, points) for box in boxes]
    drawn = draw(np.zeros((height, width, 3), np.uint8), told, names=["#1"] * len(told), bars=True)
    assert drawn.shape == (height, width, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=12))
def test_labels_are_inside_and_off_each_other(boxes):
    shape, size = (640, 480), (90, 18)
    faces = [
        np.array([left, top, left + int(width), top + int(height)]) for left, top, width, height in boxes
    ]
    spots = []
    for face in faces:
        spots.append(place(size, face, spots, faces, shape, reach=90))
    for left, top, right, bottom in spots:
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
    if len({tuple(face) for face in faces}) == len(faces) <= 3:  # more may be crammed into a corner
        for one, other in itertools.combinations(spots, 2):
            assert overlaps(one[None], [other])[0] == 0


def test_a_crowd_is_labelled_where_a_look_at_all_of_it_would(monkeypatch):
    """Only what is near a face can be in its label's way: the same places, without looking at the rest."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 900, (80, 2))
    faces = [np.array([x, y, x + 60, y + 60]) for x, y in corners]

    def spots():
        found = []
        for face in faces:
            found.append(place((90, 18), face, found, faces, (1000, 1000), reach=90))
        return np.stack(found)

    near = spots()
    monkeypatch.setattr(
        "fer.annotate.places._touching", lambda others, window: np.array(others).reshape(-1, 4)
    )
    np.testing.assert_array_equal(near, spots())


def test_overlap_is_the_share_of_pixels():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (20, 2))
    places = np.hstack([corners, corners + rng.integers(1, 20, (20, 2))])
    for one, other in itertools.product(places, places):
        masks = np.zeros((2, 50, 50), bool)
        for mask, (left, top, right, bottom) in zip(masks, (one, other), strict=True):
            mask[top:bottom, left:right] = True
        wanted = (masks[0] & masks[1]).sum() / masks[0].sum()
        assert overlaps(one[None], [other])[0] == pytest.approx(wanted)


def test_words_read_well_on_every_colour():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)  # WCAG's known case
    for label in (*EMOTION_COLORS, "an emotion of one's own"):
        assert contrast(rgb(label), ink_on(rgb(label))) >= 4.5
    assert rgb("other") == tuple(bytes.fromhex(OTHER[1:]))


def test_a_label_too_wide_is_cut_off():
    text = shortened("surprise 100 %", 9, 40)
    assert "surprise 100 %".startswith(text)
    assert label_tile(text, 9, rgb("surprise")).shape[1] <= 40
