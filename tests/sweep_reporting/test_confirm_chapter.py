"""What the page says of confirmed recipes: who was flattered, by how much, and when it may be chance."""

import pytest
from told_sweeps import SOME, rising, tell

from fer.sweep_reporting.confirm_chapter import chapter, sentence
from fer.sweep_reporting.confirming import Confirmation
from fer.sweep_reporting.flattery import flattery
from fer.sweep_reporting.found import find_sweep


@pytest.fixture
def sweep(tmp_path):
    return find_sweep(tell(tmp_path / "some", SOME), None, None)


def said(sweep, values, place=0):
    """Return the sentence on a recipe of the ranking, with these values over new seeds."""
    trial = sweep.ranking[place]
    (found,) = flattery([trial.value], [values], sweep.sign)
    return sentence(sweep, Confirmation(trial, [], values), found)


def test_flattered_beyond_chance(sweep):
    assert said(sweep, [0.549, 0.550, 0.551]) == (  # t(2) = 4.303, times 0.1 over the root of 3
        "The search flattered its best, trial 0, by +5.0 [+4.8, +5.2] points: 60.0 % in the search, 55.0 % "
        "over 3 new seeds."
    )


def test_an_interval_that_holds_0_may_be_chance(sweep):
    words = said(sweep, [0.56, 0.60, 0.61])
    assert "flattered its best, trial 0, by +1.0 [-5.6, +7.6] points" in words
    assert words.endswith("The interval holds 0: it may be chance.")


def test_one_seed_says_nothing_of_the_scatter(sweep):
    words = said(sweep, [0.58])
    assert "by +2.0 points: 60.0 % in the search, 58.0 % over one new seed." in words
    assert words.endswith("One seed says nothing of the scatter; --confirm 3 or more does.")


def test_a_recipe_that_did_better_over_new_seeds_was_not_flattered(sweep):
    assert said(sweep, [0.604, 0.604]) == (
        "The search did not flatter its best, trial 0: 60.0 % in the search, 60.4 % over 2 new seeds, a "
        "difference of -0.4 [-0.4, -0.4] points."
    )


def test_of_a_loss_more_over_new_seeds_is_flattery(tmp_path):
    trials = [("finished", [0.9]), ("finished", [1.5])]
    sweep = find_sweep(tell(tmp_path / "some", trials, "minimize", "val/loss"), None, None)
    assert "flattered its best, trial 0, by +0.1000: 0.9000 in the search" in said(sweep, [1.0])


def test_a_recipe_that_is_no_longer_best_is_not_called_so(sweep):
    words = said(sweep, [0.45, 0.46], place=1)
    assert "flattered the best that was confirmed, trial 1 (trial 0 is better by now), by +4.5" in words


def test_of_proxies_nothing_is_said_of_flattery(tmp_path):
    sweep = find_sweep(tell(tmp_path / "some", [("finished", rising(0.5))]), None, None)
    sweep.study.set_user_attr("full_command", [])
    found = chapter(sweep, [Confirmation(sweep.ranking[0], [], [0.6, 0.62])], None)
    assert "cannot be set against these whole runs" in found.words[0]
    assert not any("flatter" in word for word in found.words)
    assert "flattered by points" not in found.tables[0].columns


def test_why_the_recipes_were_not_compared_is_said(sweep):
    found = chapter(sweep, [Confirmation(sweep.ranking[0], [], [0.6])], None, "The run was moved.")
    assert "How the recipes compare could not be told. The run was moved." in found.words
