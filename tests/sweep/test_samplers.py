"""Samplers and pruners: rungs by fraction of the schedule, medians of trials with different lengths."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from fer.sweep.plan import (
    SCHEDULE_STEPS,
    PrunerConfig,
    align_first_rung,
    build_pruner,
    build_sampler,
    step_at,
)
from fer.training.config import TrainerConfig

ASHA = {"name": "asha", "min_share": 0.037, "reduction": 3, "startup_trials": 5}


def study_of(curves, pruner, direction="maximize"):
    """Return a study of finished trials, each a list of (fraction of the schedule, value)."""
    study = optuna.create_study(direction=direction, pruner=pruner)
    for curve in curves:
        values = {step_at(fraction): value for fraction, value in curve}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE, value=curve[-1][1], intermediate_values=values
            )
        )
    return study


def prunes(study, curve):
    trial, pruned = study.ask(), False
    for fraction, value in curve:
        trial.report(value, step_at(fraction))
        pruned = trial.should_prune()
    return pruned


def test_rungs_of_halving_by_three_are_at_1_3_9_and_27_epochs_of_27():
    study = optuna.create_study(direction="maximize", pruner=build_pruner(ASHA))
    assert not prunes(study, [(epoch / 27, 0.5) for epoch in range(1, 28)])  # the first has no competitors
    pruned_at = set()
    for stop in range(1, 28):  # the best so far, up to an epoch in which it is the worst
        trial = study.ask()
        for epoch in range(1, stop + 1):
            trial.report(0.5 + stop / 100 if epoch < stop else 0.1, step_at(epoch / 27))
            if trial.should_prune():
                pruned_at.add(epoch)
    assert pruned_at == {1, 3, 9, 27}


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_median_compares_trials_of_different_length(direction, sign):
    pruner = build_pruner({"name": "median", "min_share": 0.25, "reduction": 3, "startup_trials": 3})
    tens = [[(epoch / 10, sign * level * epoch) for epoch in range(1, 11)] for level in (1, 2, 3)]
    study = study_of(tens, pruner, direction)
    # After 3 of 7 epochs (0.43), the last reports of the others are those after 4 of 10, with a median of 8.
    assert not prunes(study, [(1 / 7, sign * 1), (2 / 7, sign * 8), (3 / 7, sign * 8.1)])
    assert prunes(study, [(1 / 7, sign * 1), (2 / 7, sign * 7.9), (3 / 7, sign * 1)])
    assert not prunes(study, [(1 / 7, sign * -9)])  # before a quarter of the schedule nothing is pruned
    assert not prunes(study_of(tens[:2], pruner, direction), [(0.5, sign * -9)])  # too few have ended


def test_median_ignores_nan():
    pruner = build_pruner({"name": "median", "min_share": 0.25, "reduction": 3, "startup_trials": 3})
    study = study_of([[(0.5, 0.4), (1.0, 0.4)]] * 3, pruner)
    study.add_trial(optuna.trial.create_trial(value=0.1, intermediate_values={500: float("nan")}))
    assert not prunes(study, [(0.3, float("nan")), (0.5, 0.5)])
    assert prunes(study, [(0.3, float("nan")), (0.5, 0.3)])
    assert prunes(study, [(0.5, float("nan"))])


def test_pruner_none_prunes_nothing():
    assert not prunes(study_of([[(1.0, 1.0)]] * 9, build_pruner({**ASHA, "name": "none"})), [(0.9, -9.0)])


def pruned_at(name):
    """Return the epochs after which 60 trials of fixed ranks were pruned."""
    pruner = build_pruner({**ASHA, "name": name})
    study, epochs = optuna.create_study(study_name="ranks", pruner=pruner, direction="maximize"), []
    for rank in np.random.default_rng(0).permutation(60):
        trial = study.ask()
        for epoch in range(1, 28):
            trial.report(float(rank), step_at(epoch / 27))
            if trial.should_prune():
                epochs.append(epoch)
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(rank))
    return epochs


def test_hyperband_is_halving_with_different_first_rungs():
    halving, hyperband = pruned_at("asha"), pruned_at("hyperband")
    assert {1, 3, 9} <= set(hyperband)
    assert 0 < hyperband.count(1) < halving.count(1) / 2


def test_sampler_is_seeded_by_the_trial_number():
    def draw(seed, number):
        study = optuna.create_study(sampler=build_sampler("tpe", seed, number))
        return study.ask().suggest_float("x", 0, 1)

    assert draw(0, 3) == draw(0, 3)
    assert len({draw(0, 3), draw(0, 4), draw(1, 3)}) == 3


def test_steps_cover_the_schedule():
    assert (step_at(1.0), step_at(1 / 3), step_at(0.37)) == (SCHEDULE_STEPS, 334, 370)


@pytest.mark.parametrize(
    ("trainer", "min_share"),
    [
        ({"max_epochs": 4}, 0.25),
        ({"max_epochs": 27}, 0.037037),
        ({"max_epochs": 100}, 0.037),
        ({"max_epochs": 12, "check_val_every_n_epoch": 3}, 0.25),
        ({"max_epochs": 4, "val_check_interval": 0.1}, 0.037),
        ({"max_epochs": 1, "check_val_every_n_epoch": 2}, 1.0),
        ({"max_epochs": 27, "max_steps": 400}, 0.25),
        ({"max_epochs": 27, "max_steps": 50}, 1.0),
        ({"max_epochs": 4, "max_steps": 9000}, 0.25),
    ],
)
def test_first_rung_is_not_before_the_first_validation(trainer, min_share):
    pruner = PrunerConfig(name="asha", min_share=0.037)
    aligned = align_first_rung(pruner, TrainerConfig(**trainer), steps_per_epoch=100)
    assert aligned.min_share == pytest.approx(min_share, abs=1e-6)
    assert aligned.replace(min_share=0.037) == pruner
