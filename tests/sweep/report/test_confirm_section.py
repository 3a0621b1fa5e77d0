"""The section on confirmed recipes: selection bias, its interval, and when it may be chance."""

import pytest
from recorded_sweeps import FEW_TRIALS, rising, write_sweep

from fer.sweep.report.confirm import Confirmation, bias_sentence, confirmation_section, selection_bias
from fer.sweep.report.results import load_sweep


@pytest.fixture
def sweep(tmp_path):
    return load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)


def sentence(sweep, values, rank=0):
    """Return the sentence on a recipe of the ranking, with these values over new seeds."""
    trial = sweep.ranking[rank]
    (bias,) = selection_bias([trial.value], [values], sweep.sign)
    return bias_sentence(sweep, Confirmation(trial, [], values), bias)


def test_selection_bias_beyond_chance(sweep):
    assert sentence(sweep, [0.549, 0.550, 0.551]) == (  # t(2) = 4.303, times 0.1 over the root of 3
        "Selection bias of the best recipe, trial 0: +5.0 [+4.8, +5.2] points (60.0 % in the search, 55.0 % "
        "over 3 new seeds)."
    )


def test_interval_that_includes_0_may_be_chance(sweep):
    text = sentence(sweep, [0.56, 0.60, 0.61])
    assert "bias of the best recipe, trial 0: +1.0 [-5.6, +7.6] points" in text
    assert text.endswith("The interval includes 0, so this may be chance.")


def test_one_seed_gives_no_interval(sweep):
    text = sentence(sweep, [0.58])
    assert ": +2.0 points (60.0 % in the search, 58.0 % over one new seed)." in text
    assert text.endswith("One seed gives no interval; use --confirm 3 or more.")


def test_recipe_that_is_better_over_new_seeds_has_no_selection_bias(sweep):
    assert sentence(sweep, [0.604, 0.604]) == (
        "No sign of selection bias in the best recipe, trial 0: 60.0 % in the search, 60.4 % over 2 new "
        "seeds, a difference of -0.4 [-0.4, -0.4] points."
    )


def test_higher_loss_over_new_seeds_is_selection_bias(tmp_path):
    trials = [("finished", [0.9]), ("finished", [1.5])]
    sweep = load_sweep(write_sweep(tmp_path / "some", trials, "minimize", "val/loss"), None, None)
    assert "bias of the best recipe, trial 0: +0.1000 (0.9000 in the search" in sentence(sweep, [1.0])


def test_confirmed_recipe_that_is_no_longer_best(sweep):
    text = sentence(sweep, [0.45, 0.46], rank=1)
    assert "bias of the best confirmed recipe, trial 1 (trial 0 is better by now): +4.5" in text


def test_proxies_have_no_selection_bias(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path / "some", [("finished", rising(0.5))]), None, None)
    sweep.study.set_user_attr("full_command", [])
    section = confirmation_section(sweep, [Confirmation(sweep.ranking[0], [], [0.6, 0.62])], None)
    assert "cannot be compared with these full trainings" in section.paragraphs[0]
    assert not any("election bias" in text for text in section.paragraphs)
    assert "selection bias, points" not in section.tables[0].columns


def test_reason_for_a_missing_comparison_is_given(sweep):
    section = confirmation_section(
        sweep, [Confirmation(sweep.ranking[0], [], [0.6])], None, "The run was moved."
    )
    assert "The recipes could not be compared. The run was moved." in section.paragraphs
