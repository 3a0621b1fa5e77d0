"""What a card says, in the words and dashes of the pages."""

from dataclasses import replace

import pytest
from card_of_tests import MATRIX, card, figure, split

from fer.app import card_words as words
from fer.app.facts import DASH, by_emotion, exported_ms, main_part, percent, scored_on
from fer.bundle.find import find_bundle
from fer.labels import FER7


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"value": 0.6358, "low": 0.6219, "high": 0.6503}, "63.6 % [62.2, 65.0]"),
        ({"value": 0.6358, "low": None, "high": None}, "63.6 %"),
        ({}, DASH),
    ],
)
def test_figures_are_said_with_their_interval(found, said):
    assert percent(found) == said


def test_the_test_split_goes_first():
    test = split(0.55, selection=False) | {"split": "PrivateTest"}
    assert main_part(card(metrics={"val": split(), "test": test})) == test
    assert main_part(card(metrics={})) == {}


def test_counts_of_an_emotion_are_those_of_its_row():
    found = by_emotion(card(), split())
    assert [emotion.n for emotion in found] == [sum(row) for row in MATRIX]
    assert [emotion.name for emotion in found] == list(FER7.names)


def test_an_old_card_has_fewer_facts_and_is_shown_all_the_same():
    old = split(confusion=None)
    assert {emotion.n for emotion in by_emotion(card(), old)} == {None}
    bare = {**old, "figures": {"accuracy": figure(0.6)}}
    assert by_emotion(card(), bare) == []
    assert len(words.limits(card(), [])) >= 4


def test_milliseconds_are_those_of_the_precision_that_ships():
    speed = {"batch_1": {"fp32_ms": 2.0, "int8_ms": 1.3}}
    export = {"quantisation": {"speed": speed}}
    assert exported_ms(card(export=export)) == 1.3
    assert exported_ms(card(export=export, precision="fp32")) == 2.0
    assert exported_ms(card(export={"quantisation": None})) is None


def test_what_was_chosen_on_the_images_is_said():
    assert "selection split" in scored_on(split())
    assert "flatters" in words.on_which_images(split())
    assert "flatters" not in words.on_which_images(split(selection=False))
    assert "Nothing was measured" in words.on_which_images({})


def test_the_most_frequent_error_is_named():
    assert words.most_confused(FER7.names, MATRIX).startswith("The most frequent error: neutral said to be")
    right = [[1 if row == column else 0 for column in range(7)] for row in range(7)]
    assert words.most_confused(FER7.names, right) == ""


def test_weak_and_rare_emotions_are_limits():
    rare = split(confusion=[[9, 0, 0, 0, 0, 0, 0], [0] * 7, *[[50] * 7] * 5])
    said = " ".join(words.limits(card(), by_emotion(card(), rare)))
    assert "angry (F1 30 %) and disgust (F1 38 %)" in said
    assert "of angry (9), disgust (0):" in said


@pytest.mark.parametrize(
    ("calibration", "below", "said"),
    [
        (None, None, "not calibrated"),
        ({"split": "PublicTest"}, None, "take all answers as uncertain"),
        ({"split": "PublicTest", "threshold": {"coverage": 0.5, "accuracy": 0.83}}, 0.65, "83 % of those"),
    ],
)
def test_what_a_percentage_is_worth(calibration, below, said):
    assert said in words.confidence(card(export={"calibration": calibration}, abstain_below=below))


def test_the_shipped_card_can_be_said_in_words():
    shipped = find_bundle().card
    part = main_part(shipped)
    assert "angry, disgust, fear" in words.summary(shipped)
    assert len(words.overall(part)) == 4
    assert len(by_emotion(shipped, part)) == 7
    assert dict(words.origin(shipped))["seed"] == str(shipped.training["seed"])


def test_each_of_several_models_has_its_origin():
    shipped = find_bundle().card
    pair = replace(shipped, training=shipped.training | {"members": [shipped.training | {"seed": 7}]})
    told = dict(words.origin(pair))
    assert (told["seed, model 1"], told["seed, model 2"]) == (str(shipped.training["seed"]), "7")
