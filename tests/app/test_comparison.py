"""Comparison of versions: missing values, incomparable metrics, latency."""

import time

import pytest
from example_card import HASHES, card, estimate, split

from fer.app import comparison
from fer.app.card_text import MISSING
from fer.app.resources import Version
from fer.core.labels import AFFECTNET8

OTHER = split(0.9, hashes=HASHES | {"labels_sha256": "c" * 64})
SPEED = {"quantisation": {"speed": {"batch_1": {"int8_ms": 1.25}}}}


def version(title, **fields):
    return Version(title, title, card(title, **fields))


def cells(row):
    return dict(zip(comparison.COLUMNS, row, strict=True))


def test_a_row_has_the_values_of_the_card():
    metrics = {"val": split(0.6, macro_f1=estimate(0.5), ece_mass=estimate(0.03, 0.01))}
    row = cells(comparison.comparison_rows([version("a", metrics=metrics, export=SPEED)])[0])
    assert row["Accuracy [95 %]"] == "60.0 % [58.0, 62.0]"
    assert row["Macro-F1 [95 %]"] == "50.0 % [48.0, 52.0]"
    assert row["ECE [95 %]"] == "3.0 % [2.0, 4.0]"
    assert (row["Size"], row["ms per face"]) == ("0.41 MB", "1.2, at export")
    assert (row["Trained on"], row["Exported"]) == ("fer2013", "2026-11-23")


def test_missing_values_are_dashes():
    row = cells(comparison.comparison_rows([version("a", metrics={}, training={}, created="")])[0])
    assert {key for key, cell in row.items() if cell == MISSING} == {
        "Accuracy [95 %]", "Macro-F1 [95 %]", "ECE [95 %]", "ms per face", "Trained on", "Evaluated on",
        "Exported",
    }  # fmt: skip


def test_versions_evaluated_on_other_images_are_not_comparable():
    selected = [version("a"), version("b"), version("c", metrics={"val": OTHER}), version("d", metrics={})]
    comparable = [cells(row)["Comparable"] for row in comparison.comparison_rows(selected)]
    assert comparable == ["reference", "yes", "not comparable", "not comparable"]
    assert "Not comparable with a: c, d." in comparison.comparison_notes(selected)[0]


def test_versions_evaluated_on_the_same_images_have_no_note():
    assert not any(
        "Not comparable" in note for note in comparison.comparison_notes([version("a"), version("b")])
    )


def test_different_emotions_are_noted():
    selected = [version("a"), version("b", labels=AFFECTNET8)]
    assert any("same emotions" in note for note in comparison.comparison_notes(selected))


def test_the_chart_has_only_comparable_versions():
    selected = [version("a", export=SPEED), version("b"), version("c", metrics={"val": OTHER}, export=SPEED)]
    assert [point["version"] for point in comparison.accuracy_speed_points(selected)] == ["a"]
    measured = comparison.accuracy_speed_points(selected, [1.0, 2.0, 3.0])
    assert [(point["version"], point["ms"]) for point in measured] == [("a", 1.0), ("b", 2.0)]
    assert measured[0]["accuracy"] == pytest.approx(60)


def test_measured_latency_is_labelled():
    rows = comparison.comparison_rows([version("a", export=SPEED), version("b")], [3.0, 4.0])
    assert [cells(row)["ms per face"] for row in rows] == ["3.0, here", "4.0, here"]


def test_calls_are_timed_alternately():
    order = []

    def call(name, seconds):
        order.append(name)
        time.sleep(seconds)

    slow, fast = comparison.time_interleaved([lambda: call("s", 0.02), lambda: call("f", 0.004)], seconds=0.2)
    assert order[:6] == ["s", "f"] * 3
    assert len(order) < 40
    assert slow >= 20
    assert 4 <= fast < slow
