"""The best recipes trained again over new seeds: their runs, how they are resumed, and the page."""

import html
import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from recorded_sweeps import FEW_TRIALS, KEY, write_sweep

from fer.core.errors import FerError
from fer.sweep.cli import main
from fer.sweep.report.confirm import confirm, confirm_folder, load_confirmations, new_seeds
from fer.sweep.report.page import report
from fer.sweep.report.results import load_sweep

NET = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "model.image_size=16")
FACES = (
    "datamodule.num_train=64", "datamodule.num_val=32", "datamodule.num_test=8", "datamodule.size=16",
    "datamodule.batch_size=16",
)  # fmt: skip


@pytest.fixture
def trainings(monkeypatch):
    """Record the overrides of each fer-train that would be run; all of them succeed."""
    calls = []

    def run(command, **_):
        assert command[1:3] == ["-m", "fer.training.cli"]
        overrides = command[3:]
        calls.append(overrides)
        folder = next(item for item in overrides if item.startswith(("hydra.run.dir", "resume"))).split("=")[
            1
        ]
        value = 0.5 + 0.01 * len(calls)
        record = {"status": "finished", "best": {"val/accuracy": value}, "fit_seconds": 1.0}
        Path(json.loads(folder), "run.json").write_text(json.dumps(record))
        return SimpleNamespace(returncode=0, stdout="")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.fixture
def sweep(tmp_path):
    return load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)


def test_seeds_are_new(sweep):
    assert new_seeds(sweep, 3) == [2, 3, 4]  # 1 is the seed of the sweep


def test_each_recipe_over_each_seed_once(sweep, trainings, capsys):
    confirm(sweep, seeds=2, best=2)
    seeds = [next(item for item in overrides if item.startswith("seed=")) for overrides in trainings]
    assert seeds == ["seed=2", "seed=3"] * 2
    assert ["optimizer=adamw" in overrides for overrides in trainings] == [True, True, False, False]
    assert trainings[0][:2] == ["datamodule=fer2013", "datamodule.path=a folder/fer2013.csv"]
    assert [confirmation.values for confirmation in load_confirmations(sweep)] == [
        pytest.approx([0.51, 0.52]), pytest.approx([0.53, 0.54])
    ]  # fmt: skip
    assert "[4/4] trial 1, seed 3: val/accuracy 0.5400" in capsys.readouterr().out
    confirm(sweep, seeds=3, best=1)
    assert len(trainings) == 5  # finished runs are not trained again
    assert "already done" in capsys.readouterr().out


def test_full_recipes_are_confirmed_if_the_trials_were_proxies(sweep, trainings):
    sweep.study.set_user_attr("full_command", ["trainer.max_epochs=12"])
    confirm(sweep, seeds=1, best=1)
    assert trainings[0][0] == "trainer.max_epochs=12"


def test_failed_run_gives_its_error(sweep, monkeypatch):
    failed = SimpleNamespace(returncode=2, stdout="started\nerror: there is no file a.csv.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(FerError, match=r"Its last message: error: there is no file a\.csv\."):
        confirm(sweep, seeds=1, best=1)


def test_later_sweep_of_the_same_name_has_its_own_confirmations(sweep, trainings):
    confirm(sweep, seeds=1, best=1)
    assert len(list(sweep.folder.glob(f"confirm_{KEY}/trial_0_s2"))) == 1
    sweep.study.set_user_attr("key", "cd34")
    assert load_confirmations(sweep) == []
    confirm(sweep, seeds=1, best=1)
    assert len(trainings) == 2
    assert len(list(sweep.folder.glob("*/trial_0_s2"))) == 2


def test_run_that_cannot_be_scored_costs_only_the_comparison(sweep, trainings, capsys):
    confirm(sweep, seeds=1, best=2)  # these runs have no checkpoint
    path = report(load_sweep(sweep.folder, None, None))
    page = path.read_text()
    assert "The recipes could not be compared." in page
    assert "Learning curves" in page
    assert "The recipes could not be compared." in capsys.readouterr().out


def test_trials_that_ended_during_the_confirmation_are_on_the_page(sweep, monkeypatch, capsys):
    study = optuna.load_study(study_name="some", storage=f"sqlite:///{sweep.folder}/sweep.db")

    def meanwhile(*_):
        study.add_trial(optuna.trial.create_trial(value=0.9, user_attrs={"words": ["seed=0"]}))

    monkeypatch.setattr("fer.sweep.report.confirm.confirm", meanwhile)
    with pytest.raises(SystemExit) as exit_:
        main([str(sweep.folder), "--confirm", "1"])
    assert exit_.value.code == 0
    assert "best     trial 5, val/accuracy 90.0 %" in capsys.readouterr().out


@pytest.mark.slow
def test_sweep_is_confirmed_and_compared(fer_train, tmp_path, monkeypatch, capsys):
    space = "sweep.space={optimizer.lr:[1e-3,1e-2]}"
    overrides = ("sweep=custom", "sweep.name=some", "trainer.max_epochs=1", "sweep.sampler=grid", space)
    assert fer_train(*NET, *FACES, *overrides, "sweep.pruner.name=none").status == 0

    def run_here(command, **_):  # in this process, which has imported torch
        from fer.training.cli import main as train

        monkeypatch.setattr(sys, "argv", ["fer-train", *command[3:]])
        with pytest.raises(SystemExit) as exit_:
            train()
        return SimpleNamespace(returncode=exit_.value.code or 0, stdout="")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", run_here)
        with pytest.raises(SystemExit) as exit_:
            main([str(tmp_path / "outputs/multirun/some"), "--confirm", "2", "--best", "2"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "over 2 new seeds" in out
    assert "32 images" in out
    folder = tmp_path / "outputs/multirun/some"
    sweep = load_sweep(folder, None, None)
    record = json.loads((confirm_folder(sweep) / "trial_0_s1" / "run.json").read_text())
    assert record["seed"] == 1
    page = html.unescape((folder / "report.html").read_text())
    assert "Confirmed over new seeds" in page
    best = sweep.ranking[0]
    arguments = shlex.split(sweep.command(best))
    assert arguments[0] == "fer-train"
    expected = {*NET, *FACES, "trainer.max_epochs=1", f"optimizer.lr={best.params['optimizer.lr']}"}
    assert expected <= {*arguments}
    assert f"<code>{sweep.command(best)}</code>" in page


def test_a_number_of_recipes_without_a_confirmation_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([str(tmp_path), "--best", "2"])
    assert exit_.value.code == 2
    assert "error: --best: expected --confirm with it, got none. Add --confirm N." in capsys.readouterr().err
