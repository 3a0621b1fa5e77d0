"""The chart of emotion probabilities over time."""

import numpy as np
import pytest

from fer.app.components.charts import emotion_chart
from fer.core.labels import FER7

TIMES = np.array([0.5, 1.5, 2.5])


def chart_of(probabilities, emotions=FER7.names):
    """Return the Vega-Lite specification; Altair validates it against the schema."""
    return emotion_chart(TIMES, probabilities, emotions, (0.0, 3.0)).to_dict()


def rows_of(chart):
    (rows,) = chart["datasets"].values()
    return rows


def test_each_emotion_has_a_row_and_the_first_is_on_top():
    probabilities = np.eye(7)[[3, 3, 6]]
    rows = rows_of(chart_of(probabilities))
    assert len(rows) == 3 * 7
    tops = {(row["seconds"], row["emotion"]): row["top"] - row["base"] for row in rows}
    assert [tops[0.5, "happy"], tops[2.5, "neutral"]] == pytest.approx([0.86, 0.86])
    # All other probabilities are 0.
    assert sum(tops.values()) == pytest.approx(3 * 0.86)
    bases = {row["emotion"]: row["base"] for row in rows}
    assert sorted(bases, key=bases.__getitem__, reverse=True) == list(FER7.names)


def test_nan_leaves_a_gap():
    probabilities = np.full((3, 7), 1 / 7)
    probabilities[1] = np.nan
    missing = {
        row["seconds"]
        for row in rows_of(chart_of(probabilities))
        if row["top"] is None and row["base"] is None
    }
    assert missing == {1.5}


def test_quotes_in_names_are_escaped():
    chart = chart_of(np.full((3, 2), 0.5), ('so "so"', "it's"))
    assert chart["layer"][0]["encoding"]["y"]["axis"]["labelExpr"] == '["it\'s", "so \\"so\\""][datum.value]'


def test_empty_chart():
    chart = emotion_chart(np.empty(0), np.empty((0, 7)), FER7.names, (-30.0, 0.0))
    assert rows_of(chart.to_dict()) == []
