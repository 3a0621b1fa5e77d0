"""What differs between two configs."""

from fer.evaluating.recipes import differences, sentence, table

ONE = {"ema": True, "optimizer": {"name": "adamw", "lr": 1e-3, "betas": {}}, "mix": None}
OTHER = {"ema": False, "optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.9, "betas": {}}, "mix": None}


def test_options_that_differ_or_are_absent():
    found = {"ema": [True, False], "optimizer.name": ["adamw", "sgd"], "optimizer.momentum": ["–", 0.9]}
    assert differences({"one": ONE, "other": OTHER}) == found
    assert differences({"one": ONE, "again": ONE}) == {}


def test_they_are_written_as_they_are_typed():
    recipes = {"one": ONE, "other": OTHER}
    assert table(recipes).rows[0] == ("ema", "true", "false")
    assert table(recipes).columns == ("option", "one", "other")
    text = "The recipes differ in ema (one: true, other: false), optimizer.name (one: adamw, other: sgd), "
    assert sentence(recipes) == text + "optimizer.momentum (one: –, other: 0.9)."


def test_a_long_list_is_cut():
    many = {name: dict.fromkeys("abcdef", value) for name, value in (("one", 1), ("other", 2))}
    assert sentence(many).endswith("d (one: 1, other: 2) and 2 more.")


def test_values_of_many_recipes_are_left_to_the_table():
    assert sentence({"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}) == "The recipes differ in x."
