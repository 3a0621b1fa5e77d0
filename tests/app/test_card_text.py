"""Values and texts of a model card as the pages show them."""

from dataclasses import replace

import pytest
from example_card import MATRIX, card, estimate, split

from fer.app import card_text
from fer.app.card_text import (
    MISSING,
    describe_split,
    export_latency_ms,
    format_estimate,
    primary_metrics,
    scores_by_emotion,
)
from fer.bundle.registry import find_bundle
from fer.core.labels import FER7


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"value": 0.6358, "low": 0.6219, "high": 0.6503}, "63.6 % [62.2, 65.0]"),
        ({"value": 0.6358, "low": None, "high": None}, "63.6 %"),
        ({}, MISSING),
    ],
)
def test_estimates_are_formatted_with_their_interval(value, expected):
    assert format_estimate(value) == expected


def test_the_test_split_is_preferred():
    test = split(0.55, selection=False) | {"split": "PrivateTest"}
    assert primary_metrics(card(metrics={"val": split(), "test": test})) == test
    assert primary_metrics(card(metrics={})) == {}


def test_the_count_of_an_emotion_is_the_sum_of_its_row():
    scores = scores_by_emotion(card(), split())
    assert [emotion.n for emotion in scores] == [sum(row) for row in MATRIX]
    assert [emotion.name for emotion in scores] == list(FER7.names)


def test_a_card_with_few_metrics_is_accepted():
    old = split(confusion=None)
    assert {emotion.n for emotion in scores_by_emotion(card(), old)} == {None}
    bare = {**old, "figures": {"accuracy": estimate(0.6)}}
    assert scores_by_emotion(card(), bare) == []
    assert len(card_text.limitations(card(), [])) >= 4


def test_latency_is_that_of_the_exported_precision():
    speed = {"batch_1": {"fp32_ms": 2.0, "int8_ms": 1.3}}
    export = {"quantisation": {"speed": speed}}
    assert export_latency_ms(card(export=export)) == 1.3
    assert export_latency_ms(card(export=export, precision="fp32")) == 2.0
    assert export_latency_ms(card(export={"quantisation": None})) is None


def test_selection_bias_is_mentioned():
    assert "selection split" in describe_split(split())
    assert "selection bias" in card_text.describe_metrics(split())
    assert "selection bias" not in card_text.describe_metrics(split(selection=False))
    assert "has no metrics" in card_text.describe_metrics({})


def test_calibration_on_the_same_images_is_mentioned():
    assert "its probabilities calibrated, on these images" in card_text.describe_metrics(split())
    text = card_text.describe_metrics(split() | {"cross_fitted": {"folds": 5, "figures": ["ece_mass"]}})
    assert "calibrated" not in text
    assert "calibration error is cross-fitted in 5 folds" in text


def test_the_most_frequent_error_is_described():
    assert card_text.most_frequent_error(FER7.names, MATRIX).startswith(
        "Most frequent error: neutral predicted as"
    )
    correct = [[1 if row == column else 0 for column in range(7)] for row in range(7)]
    assert card_text.most_frequent_error(FER7.names, correct) == ""


def test_low_f1_and_few_images_are_limitations():
    rare = split(confusion=[[9, 0, 0, 0, 0, 0, 0], [0] * 7, *[[50] * 7] * 5])
    text = " ".join(card_text.limitations(card(), scores_by_emotion(card(), rare)))
    assert "angry (F1 30 %) and disgust (F1 38 %)" in text
    assert "images: angry (9), disgust (0)." in text


@pytest.mark.parametrize(
    ("calibration", "threshold", "expected"),
    [
        (None, None, "not calibrated"),
        ({"split": "PublicTest"}, None, "treat all predictions as uncertain"),
        (
            {"split": "PublicTest", "threshold": {"coverage": 0.5, "accuracy": 0.83}},
            0.65,
            "83 % of the certain ones",
        ),
    ],
)
def test_calibration_is_described(calibration, threshold, expected):
    assert expected in card_text.describe_calibration(
        card(export={"calibration": calibration}, abstain_below=threshold)
    )


def test_the_card_of_the_package_can_be_described():
    packaged = find_bundle().card
    part = primary_metrics(packaged)
    assert "angry, disgust, fear" in card_text.summary(packaged)
    assert len(card_text.overall_metrics(part)) == 4
    assert len(scores_by_emotion(packaged, part)) == 7
    assert dict(card_text.provenance(packaged))["seed"] == str(packaged.training["seed"])


def test_each_member_of_an_ensemble_has_its_provenance():
    packaged = find_bundle().card
    ensemble = replace(packaged, training=packaged.training | {"members": [packaged.training | {"seed": 7}]})
    fields = dict(card_text.provenance(ensemble))
    assert (fields["seed, model 1"], fields["seed, model 2"]) == (str(packaged.training["seed"]), "7")
