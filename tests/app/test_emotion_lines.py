import numpy as np
import pytest

from fer.app.parts.emotion_lines import emotion_lines
from fer.labels import FER7

TIMES = np.array([0.5, 1.5, 2.5])


def drawn(probs, emotions=FER7.names):
    """The chart as Vega-Lite is told of it; Altair checks it against Vega-Lite's schema."""
    return emotion_lines(TIMES, probs, emotions, (0.0, 3.0)).to_dict()


def rows_of(chart):
    (rows,) = chart["datasets"].values()
    return rows


def test_a_row_an_emotion_the_first_on_top():
    probs = np.eye(7)[[3, 3, 6]]
    rows = rows_of(drawn(probs))
    assert len(rows) == 3 * 7
    tops = {(row["seconds"], row["emotion"]): row["top"] - row["base"] for row in rows}
    assert [tops[0.5, "happy"], tops[2.5, "neutral"]] == pytest.approx([0.86, 0.86])
    assert sum(tops.values()) == pytest.approx(3 * 0.86)  # nothing elsewhere
    bases = {row["emotion"]: row["base"] for row in rows}
    assert sorted(bases, key=bases.__getitem__, reverse=True) == list(FER7.names)


def test_where_nothing_was_seen_there_is_a_gap():
    probs = np.full((3, 7), 1 / 7)
    probs[1] = np.nan
    missing = {row["seconds"] for row in rows_of(drawn(probs)) if row["top"] is None and row["base"] is None}
    assert missing == {1.5}


def test_names_with_signs_of_their_own_stay_text():
    chart = drawn(np.full((3, 2), 0.5), ('so "so"', "it's"))
    assert chart["layer"][0]["encoding"]["y"]["axis"]["labelExpr"] == '["it\'s", "so \\"so\\""][datum.value]'


def test_nothing_yet():
    chart = emotion_lines(np.empty(0), np.empty((0, 7)), FER7.names, (-30.0, 0.0))
    assert rows_of(chart.to_dict()) == []
