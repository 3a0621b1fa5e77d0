"""Differences between the recipes of runs."""

import pytest

from fer.evaluation.recipes import recipe_differences, recipe_sentence, recipe_table
from fer.evaluation.runs import hash_recipe
from fer.training.config import RunConfig

ONE = {"ema": True, "optimizer": {"name": "adamw", "lr": 1e-3, "betas": {}}, "mix": None}
OTHER = {"ema": False, "optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.9, "betas": {}}, "mix": None}


def test_options_that_differ_or_are_missing():
    expected = {"ema": [True, False], "optimizer.name": ["adamw", "sgd"], "optimizer.momentum": ["–", 0.9]}
    assert recipe_differences({"one": ONE, "other": OTHER}) == expected
    assert recipe_differences({"one": ONE, "again": ONE}) == {}


def test_values_are_formatted_as_on_the_command_line():
    recipes = {"one": ONE, "other": OTHER}
    assert recipe_table(recipes).rows[0] == ("ema", "true", "false")
    assert recipe_table(recipes).columns == ("option", "one", "other")
    text = "The recipes differ in ema (one: true, other: false), optimizer.name (one: adamw, other: sgd), "
    assert recipe_sentence(recipes) == text + "optimizer.momentum (one: –, other: 0.9)."


def test_a_long_list_is_shortened():
    many = {name: dict.fromkeys("abcdef", value) for name, value in (("one", 1), ("other", 2))}
    assert recipe_sentence(many).endswith("d (one: 1, other: 2) and 2 more.")


def test_sentence_omits_values_of_more_than_two_recipes():
    assert recipe_sentence({"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}) == "The recipes differ in x."


@pytest.mark.parametrize(
    ("data", "later"),
    [
        ({"name": "fer2013", "path": "a.csv"}, ("labels",)),
        ({"name": "folder", "path": "/data", "labels": None}, ("group",)),
    ],
)
def test_options_that_were_added_later_keep_the_hash_of_a_recipe(data, later):
    """The test ledger counts scores by this hash, so a new option must not make an old recipe a new one."""
    config = RunConfig(model={"name": "fast_cnn"}, datamodule=data).to_dict()
    assert set(later) <= config["datamodule"].keys()
    older = {key: value for key, value in config["datamodule"].items() if key not in later}
    assert hash_recipe({**config, "datamodule": older}) == hash_recipe(config)


def test_labels_of_a_folder_are_part_of_its_recipe():
    data = {"name": "folder", "path": "/data"}
    first, second = (
        RunConfig(model={"name": "fast_cnn"}, datamodule={**data, "labels": labels}).to_dict()
        for labels in (["sad", "happy"], ["happy", "sad"])
    )
    assert hash_recipe(first) != hash_recipe(second)
