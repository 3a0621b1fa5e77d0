"""Proxies: every config file trains, and a sweep with a proxy stores the full recipe."""

import csv

import optuna
import pytest
import yaml
from small_sweeps import FACES, NET, RATES

from fer.training.overrides import choices


@pytest.mark.parametrize("choice", choices("proxy"))
def test_every_proxy_makes_a_run_cheaper(choice, fer_train):
    overrides = ("trainer.max_epochs=1",) if choice != "epochs" else ()
    size = NET[:-1] if choice == "resolution" else NET
    run = fer_train(*FACES, *size, *overrides, f"proxy={choice}")
    assert run.status == 0
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    images = run.record["epochs"] * 64 * (config["trainer"]["limit_train_batches"] or 1)
    assert images < 15 * 64  # of the default
    if choice == "subset":
        assert config["trainer"]["limit_train_batches"] == 0.25
        (row,) = csv.DictReader((run.folder / "metrics.csv").open())
        assert int(row["step"]) == 1  # of four batches
    assert "proxy" not in config
    if choice == "resolution":
        assert config["model"]["image_size"] == 32


@pytest.mark.slow
def test_sweep_with_a_proxy_stores_the_full_recipe(fer_train, tmp_path):
    overrides = ("sweep=custom", RATES, "sweep.n_trials=1", "proxy=subset", "trainer.max_epochs=1")
    assert fer_train(*FACES, *NET, *overrides).status == 0
    study = optuna.load_study(
        study_name="custom", storage=f"sqlite:///{tmp_path}/outputs/multirun/custom/sweep.db"
    )
    assert "proxy=subset" in study.user_attrs["command"]
    assert "proxy=subset" not in study.user_attrs["full_command"]
    assert not [item for item in study.user_attrs["full_command"] if "limit_train_batches" in item]


@pytest.mark.slow
def test_settings_of_the_proxy_are_not_in_the_full_recipe(fer_train, tmp_path):
    overrides = ("sweep=custom", RATES, "sweep.n_trials=1", "proxy=epochs", "trainer.max_epochs=1")
    assert fer_train(*FACES, *NET, *overrides).status == 0
    study = optuna.load_study(
        study_name="custom", storage=f"sqlite:///{tmp_path}/outputs/multirun/custom/sweep.db"
    )
    assert "trainer.max_epochs=1" in study.user_attrs["command"]
    assert not [item for item in study.user_attrs["full_command"] if "max_epochs" in item]


def test_key_set_by_the_proxy_cannot_be_searched(fer_train, capsys):
    space = "sweep.space={model.image_size:[32,48]}"
    assert fer_train("sweep=custom", space, "proxy=resolution").status == 2
    assert "expected no key that the proxy sets, got model.image_size" in capsys.readouterr().err


@pytest.mark.slow
def test_grid_is_enqueued_completely(fer_train, tmp_path):
    space = "sweep.space={optimizer.lr:[1e-3,2e-3,3e-3,4e-3,5e-3,6e-3],seed:[0,1,2,3,4]}"
    stops_early = "sweep.max_failed_share=0"
    overrides = ("sweep=custom", space, "sweep.sampler=grid", stops_early, "trainer.max_epochs=1")
    fer_train(*FACES, *NET, *overrides, "optimizer.weight_decay=1e30")
    study = optuna.load_study(
        study_name="custom", storage=f"sqlite:///{tmp_path}/outputs/multirun/custom/sweep.db"
    )
    assert len(study.trials) == 30
