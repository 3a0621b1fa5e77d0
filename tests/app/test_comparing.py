"""Versions side by side: dashes where a card is silent, and words where figures may not be compared."""

import time

import pytest
from card_of_tests import HASHES, card, figure, split

from fer.app import comparing
from fer.app.facts import DASH
from fer.app.serving import Version
from fer.labels import AFFECTNET8

OTHER = split(0.9, hashes=HASHES | {"labels_sha256": "c" * 64})
SPEED = {"quantisation": {"speed": {"batch_1": {"int8_ms": 1.25}}}}


def version(title, **fields):
    return Version(title, title, card(title, **fields))


def cells(row):
    return dict(zip(comparing.HEAD, row, strict=True))


def test_a_row_says_what_the_card_says():
    metrics = {"val": split(0.6, macro_f1=figure(0.5), ece_mass=figure(0.03, 0.01))}
    row = cells(comparing.rows([version("a", metrics=metrics, export=SPEED)])[0])
    assert row["Accuracy [95 %]"] == "60.0 % [58.0, 62.0]"
    assert row["Macro-F1 [95 %]"] == "50.0 % [48.0, 52.0]"
    assert row["ECE [95 %]"] == "3.0 % [2.0, 4.0]"
    assert (row["Size"], row["ms a face"]) == ("0.41 MB", "1.2, at export")
    assert (row["Trained on"], row["Made"]) == ("fer2013", "2026-11-23")


def test_a_silent_card_has_dashes():
    row = cells(comparing.rows([version("a", metrics={}, training={}, created="")])[0])
    assert {key for key, cell in row.items() if cell == DASH} == {
        "Accuracy [95 %]", "Macro-F1 [95 %]", "ECE [95 %]", "ms a face", "Trained on", "Scored on", "Made"
    }  # fmt: skip


def test_other_images_are_not_comparable_in_words():
    chosen = [version("a"), version("b"), version("c", metrics={"val": OTHER}), version("d", metrics={})]
    verdicts = [cells(row)["Comparable"] for row in comparing.rows(chosen)]
    assert verdicts == ["reference", "yes", "not comparable", "not comparable"]
    assert "Not comparable with a: c, d." in comparing.notes(chosen)[0]


def test_same_images_need_no_such_note():
    assert not any("Not comparable" in note for note in comparing.notes([version("a"), version("b")]))


def test_other_emotions_are_noted():
    chosen = [version("a"), version("b", labels=AFFECTNET8)]
    assert any("same emotions" in note for note in comparing.notes(chosen))


def test_the_chart_shows_what_may_stand_together():
    chosen = [version("a", export=SPEED), version("b"), version("c", metrics={"val": OTHER}, export=SPEED)]
    assert [point["version"] for point in comparing.points(chosen)] == ["a"]
    here = comparing.points(chosen, [1.0, 2.0, 3.0])
    assert [(point["version"], point["ms"]) for point in here] == [("a", 1.0), ("b", 2.0)]
    assert here[0]["accuracy"] == pytest.approx(60)


def test_what_is_measured_here_is_said_so():
    rows = comparing.rows([version("a", export=SPEED), version("b")], [3.0, 4.0])
    assert [cells(row)["ms a face"] for row in rows] == ["3.0, here", "4.0, here"]


def test_all_are_timed_in_turns():
    order = []

    def take(name, seconds):
        order.append(name)
        time.sleep(seconds)

    slow, fast = comparing.in_turns([lambda: take("s", 0.02), lambda: take("f", 0.004)], seconds=0.2)
    assert order[:6] == ["s", "f"] * 3
    assert len(order) < 40
    assert slow >= 20
    assert 4 <= fast < slow
