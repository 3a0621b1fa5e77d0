"""How the heat is shown: where it is, in colour and in words."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fer.app.parts.why import figure, overlaid, place
from fer.explaining.why import Why

TELL = """
import numpy as np
from fer.app.parts.why import tell
from fer.explaining.why import Why
tell(Why(np.{}((48, 48), np.float32), "occlusion", 0.9, 0.9), "happy")
"""


def heat_at(row, column, side=48):
    heat = np.zeros((side, side), np.float32)
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize(
    ("spot", "words"),
    [
        ((0, 0), "upper left"),
        ((24, 24), "middle centre"),
        ((47, 47), "lower right"),
        ((40, 24), "lower centre"),
    ],
)
def test_the_place_is_told_in_words(spot, words):
    assert place(heat_at(*spot)) == words


def test_a_face_without_heat_is_gray_and_warmth_is_where_the_heat_is():
    face = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    cold = overlaid(face, np.zeros((48, 48), np.float32), 48).astype(int)
    assert (cold.max(2) == cold.min(2)).all()
    heat = np.zeros((48, 48), np.float32)
    heat[30:36, 6:12] = 1
    warm = overlaid(face, heat, 48).astype(int)
    assert (warm[:20] == cold[:20]).all()
    assert (warm[32:34, 8:10, 0] > warm[32:34, 8:10, 2] + 50).all()  # yellow: red far above blue
    assert warm[32:34, 8:10].mean() > 150  # and light, for who sees no hue


def test_own_emotions_are_no_markup():
    found = Why(heat_at(5, 5), "occlusion", 0.9, 0.2)
    page = figure(np.zeros((48, 48, 3), np.uint8), found, "<script>x</script>")
    assert "<script>" not in page
    assert "greatest in the upper left" in page


def test_a_face_without_heat_is_given_no_place():
    cold = Why(np.zeros((48, 48), np.float32), "occlusion", 0.9, 0.9)
    page = figure(np.zeros((48, 48, 3), np.uint8), cold, "happy")
    assert "alt='No single part decides: hiding any one of them does not lower the answer.'" in page
    assert "greatest" not in page


@pytest.mark.parametrize("cold", [True, False])
def test_words_follow_the_heat(cold):
    page = AppTest.from_string(TELL.format("zeros" if cold else "ones")).run()
    words = " ".join(part.value for part in (*page.markdown, *page.caption))
    assert words.startswith("No single part decides") == cold
    assert ("greatest heat" in words) != cold
    assert ("hottest tenth" in words) != cold
