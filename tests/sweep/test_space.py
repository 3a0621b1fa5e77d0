"""Search spaces: valid and invalid ones, values of a trial, points of a grid."""

import itertools

import optuna
import pytest

from fer.core.errors import FerError
from fer.sweep.compose import format_override
from fer.sweep.space import grid, parse_space, suggest

OPTIMIZERS = {
    "optimizer.lr": {"adam, adamw": {"low": 1e-4, "high": 1e-2, "log": True}, "sgd": [0.1, 0.5]},
    "optimizer": ["adamw", "sgd", "adam"],
    "optimizer.momentum": {"sgd": [0.8, 0.9]},
    "model.dropout": {"low": 0.0, "high": 0.4, "step": 0.2},
}


class FixedTrial:
    """A trial with fixed values, which records the domains that values were requested from."""

    def __init__(self, values):
        self.values, self.domains = values, {}

    def suggest_categorical(self, name, choices):
        self.domains[name] = choices
        return self.values[name]

    def suggest_float(self, name, low, high, *, step, log):
        self.domains[name] = (low, high, step, log)
        return self.values[name]

    suggest_int = suggest_float


def test_only_parameters_of_the_choice_are_suggested():
    trial = FixedTrial({"optimizer": "adam", "optimizer.lr[adam, adamw]": 3e-3, "model.dropout": 0.2})
    parameters = suggest(trial, parse_space(OPTIMIZERS))
    assert parameters == {"optimizer": "adam", "optimizer.lr": 3e-3, "model.dropout": 0.2}
    assert trial.domains["optimizer.lr[adam, adamw]"] == (1e-4, 1e-2, None, True)


def test_grid_has_every_combination_once():
    space = {**OPTIMIZERS, "optimizer.lr": [1e-3, 1e-2]}
    points = grid(parse_space(space))
    plain = itertools.product(["adamw", "adam"], [1e-3, 1e-2], [0.0, 0.2, 0.4])
    with_momentum = itertools.product(["sgd"], [1e-3, 1e-2], [0.0, 0.2, 0.4], [0.8, 0.9])
    expected = {(*point, None) for point in plain} | set(with_momentum)
    keys = ("optimizer", "optimizer.lr", "model.dropout", "optimizer.momentum[sgd]")
    assert sorted(map(str, (tuple(point.get(key) for key in keys) for point in points))) == sorted(
        map(str, expected)
    )


def test_integers_stay_integers():
    (parameter,) = parse_space({"a": {"low": 16, "high": 256, "log": True}})
    assert suggest(FixedTrial({"a": 32}), [parameter]) == {"a": 32}
    (stepped,) = parse_space({"a": {"low": 1, "high": 5, "step": 2}})
    assert [(point["a"], type(point["a"])) for point in grid([stepped])] == [
        (1, int), (3, int), (5, int)
    ]  # fmt: skip


def test_fractional_step_gives_real_numbers_between_integer_limits():
    (parameter,) = parse_space({"a": {"low": 0, "high": 1, "step": 0.25}})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    suggested = {suggest(study.ask(), [parameter])["a"] for _ in range(50)}
    assert suggested == {0.0, 0.25, 0.5, 0.75, 1.0} == {point["a"] for point in grid([parameter])}


def test_given_sets_the_parent():
    space = parse_space(
        {"imbalance": ["none", "oversample"], "loss": {"given": "imbalance", "none": ["focal"]}}
    )
    assert suggest(FixedTrial({"imbalance": "none", "loss[none]": "focal"}), space)["loss"] == "focal"
    assert "loss" not in suggest(FixedTrial({"imbalance": "oversample"}), space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "expected keys of the config"),
        ({"a": []}, "a list of at least one"),
        ({"a": [[1], [2]]}, "a list of at least one string or number"),
        ({"a": [1, 1]}, "got one twice"),
        ({"a": 3}, "expected a list"),
        ({"a": {"low": 2, "high": 1}}, "expected low below high, got 2 and 1"),
        ({"a": {"low": 1, "high": 1}}, "For one value give a list, [1]"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "expected low above 0 with log, got 0"),
        ({"a": {"low": "x", "high": 1}}, "expected numbers"),
        ({"a": {"low": float("nan"), "high": 1}}, "expected numbers"),
        ({"a": {"low": 0, "high": float("inf")}}, "expected numbers"),
        ({"a": {"low": 0, "hihg": 1}}, "Did you mean 'high'?"),
        ({"a": {"low": 0, "high": 1, "step": 2}}, "expected a step"),
        ({"o.lr": {"sgd": [1]}}, "by the choices of a key that is before it"),
        ({"o": ["sgd"], "o.lr": {"sgd": {"low": 3, "high": 1}}}, "o.lr[sgd]: expected low below high, got 3"),
        ({"o": ["sgd"], "o.lr": {"given": "o"}}, "expected a list"),
    ],
)
def test_invalid_space_is_rejected(space, message):
    with pytest.raises(FerError, match=r"^sweep\.space") as caught:
        parse_space(space)
    assert message in str(caught.value)


def test_grid_of_a_range_without_step_is_rejected():
    with pytest.raises(FerError, match="expected values for a grid"):
        grid(parse_space({"a": {"low": 0.0, "high": 1.0}}))


@pytest.mark.parametrize(
    "value", ["adamw", "a b", "null", "", "a,b", "it's", 'a"b', "a=b", None, True, 3, 1e-7, 0.1 + 0.2]
)
def test_override_is_parsed_back_to_its_value(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(format_override("key", value)).value() == value
