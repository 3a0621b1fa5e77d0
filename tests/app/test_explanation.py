"""Display of saliency maps: colours and text."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fer.app.components.face import describe_peak, overlay_saliency, saliency_html
from fer.predict.explain import Explanation

SCRIPT = """
import numpy as np
from fer.app.components.face import show_saliency_text
from fer.predict.explain import Explanation
show_saliency_text(Explanation(np.{}((48, 48), np.float32), "occlusion", 0.9, 0.9), "happy")
"""


def saliency_at(row, column, side=48):
    saliency = np.zeros((side, side), np.float32)
    saliency[row, column] = 1
    return saliency


@pytest.mark.parametrize(
    ("peak", "expected"),
    [
        ((0, 0), "upper left"),
        ((24, 24), "middle centre"),
        ((47, 47), "lower right"),
        ((40, 24), "lower centre"),
    ],
)
def test_the_peak_is_described(peak, expected):
    assert describe_peak(saliency_at(*peak)) == expected


def test_the_overlay_is_grey_without_saliency_and_coloured_with_it():
    face = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    plain = overlay_saliency(face, np.zeros((48, 48), np.float32), 48).astype(int)
    assert (plain.max(2) == plain.min(2)).all()
    saliency = np.zeros((48, 48), np.float32)
    saliency[30:36, 6:12] = 1
    colored = overlay_saliency(face, saliency, 48).astype(int)
    assert (colored[:20] == plain[:20]).all()
    # Yellow: red far above blue.
    assert (colored[32:34, 8:10, 0] > colored[32:34, 8:10, 2] + 50).all()
    # Light as well, for colour-blind viewers.
    assert colored[32:34, 8:10].mean() > 150


def test_emotion_names_are_escaped():
    explanation = Explanation(saliency_at(5, 5), "occlusion", 0.9, 0.2)
    page = saliency_html(np.zeros((48, 48, 3), np.uint8), explanation, "<script>x</script>")
    assert "<script>" not in page
    assert "highest in the upper left" in page


def test_an_empty_map_has_no_peak():
    empty = Explanation(np.zeros((48, 48), np.float32), "occlusion", 0.9, 0.9)
    page = saliency_html(np.zeros((48, 48, 3), np.uint8), empty, "happy")
    assert 'alt="No single region matters: covering any one of them does not lower the probability."' in page
    assert "highest" not in page


@pytest.mark.parametrize("empty", [True, False])
def test_the_text_depends_on_the_map(empty):
    page = AppTest.from_string(SCRIPT.format("zeros" if empty else "ones")).run()
    text = " ".join(part.value for part in (*page.markdown, *page.caption))
    assert text.startswith("No single region matters") == empty
    assert ("saliency is highest" in text) != empty
    assert ("most salient 10 %" in text) != empty
