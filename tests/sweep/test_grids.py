"""Plain grids: fer-train -m with several values, without sweep=."""

import json
import shlex
import signal

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from small_sweeps import SMALL, finish, launch, wait_for
from test_sweep_kill import at_epoch

from fer.sweep.report.results import load_sweep
from fer.training import run as training
from fer.training.run_folder import read_metrics

ONE_EPOCH = (*SMALL, "trainer.max_epochs=1")
FOUR = ("optimizer=adamw,sgd", "seed=1,2")
FOLDERS = [
    "0_optimizer-adamw_seed-1",
    "1_optimizer-adamw_seed-2",
    "2_optimizer-sgd_seed-1",
    "3_optimizer-sgd_seed-2",
]


@pytest.fixture
def grid(fer_train, tmp_path):
    """Run a grid in ``tmp_path/grid``; return its exit status."""
    return lambda *overrides: (
        fer_train("-m", *ONE_EPOCH, f"hydra.sweep.dir={tmp_path}/grid", *overrides).status
    )


def records(folder):
    found = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
    return dict(sorted(found.items()))


def trials(folder):
    storage = f"sqlite:///{folder}/sweep.db"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def test_trials_have_named_folders_their_own_command_and_a_leaderboard(grid, fer_train, tmp_path, capsys):
    assert grid(*FOUR) == 0
    out = capsys.readouterr().out
    found = records(tmp_path / "grid")
    assert list(found) == FOLDERS
    assert [record["status"] for record in found.values()] == ["finished"] * 4
    # A trial of a grid is a run like any other.
    for name in FOLDERS:
        plots = {path.stem for path in (tmp_path / "grid" / name / "plots").iterdir()}
        assert plots == {"augmentation", "confusion_matrix", "learning_curves", "per_emotion"}
    command_0 = shlex.split(found[FOLDERS[0]]["command"])
    assert command_0 == ["fer-train", *ONE_EPOCH, "optimizer=adamw", "seed=1"] or command_0[1].startswith(
        "output_dir"
    )
    assert command_0[-2:] == ["optimizer=adamw", "seed=1"]
    assert "grid     2 optimizer x 2 seed\n" in out
    assert f"fer-train -m sweep.resume={tmp_path}/grid" in out
    assert "[4/4] trial 3  val/accuracy " in out
    assert "sweep    4 finished, 0 failed" in out
    values = {int(name[0]): record["best"]["val/accuracy"] for name, record in found.items()}
    best = max(values, key=values.get)
    assert f"best     trial {best}, val/accuracy {values[best]:.4f}" in out
    assert "rank  mean val/accuracy      sd  seeds  overrides" in out
    (line,) = [line for line in out.splitlines() if line.startswith("retrain")]
    config = yaml.safe_load((tmp_path / "grid" / FOLDERS[best] / "config.yaml").read_text())
    run = fer_train(*shlex.split(line)[2:])
    assert run.record["best"] == found[FOLDERS[best]]["best"]
    again = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert {**again, "name": ""} == {**config, "name": ""}
    assert config["name"] == FOLDERS[best][2:]


def test_a_failed_trial_does_not_stop_the_others_and_is_trained_again(grid, tmp_path, capsys, monkeypatch):
    original = training.run

    def broken(config, *arguments, **options):
        if config.seed == 1:
            raise ZeroDivisionError("division by zero")
        return original(config, *arguments, **options)

    monkeypatch.setattr(training, "run", broken)
    assert grid("seed=1,2,3") == 2
    captured = capsys.readouterr()
    assert "sweep    2 finished, 1 failed" in captured.out
    assert "failed   trial 0  seed=1: ZeroDivisionError: division by zero" in captured.out
    assert "1 of 3 trials failed: 0. Fix the cause, and train them again with: fer-train -m" in captured.err
    assert (tmp_path / "grid" / "0_seed-1" / "error.txt").is_file()
    monkeypatch.setattr(training, "run", original)
    before = records(tmp_path / "grid")
    assert grid("seed=1,2,3", "sweep.resume=true") == 0
    assert "sweep    3 finished, 1 failed (1 trained again)" in capsys.readouterr().out
    after = records(tmp_path / "grid")
    assert {name: after[name] for name in before} == before
    assert [record["seed"] for name, record in after.items() if name not in before] == [1]


def test_a_grid_is_resumed_by_its_folder_and_can_be_extended(grid, fer_train, tmp_path, capsys):
    assert grid("seed=1,2") == 0
    before = records(tmp_path / "grid")
    assert fer_train(f"sweep.resume={tmp_path}/grid").status == 0
    assert "2 trials, 2 of them done" in capsys.readouterr().out
    assert fer_train("-m", f"sweep.resume={tmp_path}/grid", "seed=1,2,3").status == 0
    after = records(tmp_path / "grid")
    assert list(after) == ["0_seed-1", "1_seed-2", "2_seed-3"]
    assert {name: after[name] for name in before} == before
    assert grid("seed=1,2") == 2
    assert "expected a new name, but a sweep of that name is in" in capsys.readouterr().err
    assert grid("seed=1,2", "sweep.resume=true", "loss=focal") == 2
    assert 'expected loss "(none)", as in the existing sweep' in capsys.readouterr().err
    assert fer_train(f"sweep.resume={tmp_path}/grid", "seed=4").status == 2
    assert "seed=4: expected several values, as at the start of the grid" in capsys.readouterr().err


def test_a_trial_without_validation_has_finished(grid, tmp_path, capsys):
    assert grid("trainer.limit_val_batches=0", "seed=1,2") == 0
    out = capsys.readouterr().out
    assert "[2/2] trial 1  finished, no val/accuracy" in out
    assert "sweep    2 finished, 0 failed" in out
    assert "best" not in out
    sweep = load_sweep(tmp_path / "grid", None, None)
    assert (sweep.ranking, sweep.count()) == ([], {"finished": 2})


def test_folders_and_names_of_the_user(grid, fer_train, tmp_path):
    assert grid("name='rate_${optimizer.lr}'", "optimizer.lr=0.1,0.01", "hydra.sweep.subdir=${name}") == 0
    assert list(records(tmp_path / "grid")) == ["rate_0.01", "rate_0.1"]
    options = ("-m", *ONE_EPOCH, "seed=1,2", "hydra.sweep.subdir=same")
    assert fer_train(*options, "sweep.name=mine").status == 0
    assert list(records(tmp_path / "outputs" / "multirun" / "mine")) == ["same", "same-2"]


def test_names_of_folders_in_the_words_of_hydra(fer_train, tmp_path):
    options = ("-m", *ONE_EPOCH, "seed=1,2", "hydra.sweep.subdir=t_${hydra.job.num}")
    assert fer_train(*options, "sweep.name=mine").status == 0
    assert list(records(tmp_path / "outputs" / "multirun" / "mine")) == ["t_0", "t_1"]


def test_override_dirname_has_the_values_of_the_trial(fer_train, tmp_path):
    keys = ",".join(item.partition("=")[0] for item in ("output_dir=", *SMALL))
    options = (
        f"hydra.job.config.override_dirname.exclude_keys=[{keys}]",
        "hydra.sweep.subdir=${hydra.job.override_dirname}",
    )
    grid = f"hydra.sweep.dir={tmp_path}/grid"
    assert fer_train("-m", *ONE_EPOCH, "seed=1,2", *options, grid).status == 0
    assert fer_train("-m", f"sweep.resume={tmp_path}/grid", "seed=1,2,3").status == 0
    expected = [f"seed={seed},trainer.max_epochs=1" for seed in (1, 2, 3)]
    assert list(records(tmp_path / "grid")) == expected


def test_values_in_a_file_and_a_grid_of_one(fer_train, tmp_path, capsys):
    # As in an experiment's file.
    override = "+hydra.sweeper.params={seed: '1,2'}"
    assert fer_train("-m", *ONE_EPOCH, override).status == 0
    assert fer_train("-m", *ONE_EPOCH, "seed=3").status == 0
    out = capsys.readouterr().out
    assert "grid     2 seed" in out
    assert "grid     one trial" in out
    folders = list((tmp_path / "outputs" / "multirun").iterdir())
    assert sorted(len(records(folder)) for folder in folders) == [1, 2]
    (alone,) = (path for path in (tmp_path / "outputs" / "multirun").glob("*/0_synthetic*"))
    assert yaml.safe_load((alone / "config.yaml").read_text())["name"] == alone.name.removeprefix("0_")


@pytest.mark.slow
def test_a_killed_grid_is_resumed_and_gives_the_same_result(fer_train, tmp_path):
    folder = tmp_path / "grid"
    options = ("-m", "trainer.max_epochs=8", "seed=1,2,3")
    process = launch(tmp_path, *options, f"hydra.sweep.dir={folder}")
    wait_for(lambda: folder.is_dir() and at_epoch(folder / "1_seed-2", 3), 120)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    done = [trial.number for trial in trials(folder) if trial.state == TrialState.COMPLETE]
    before = {number: records(folder)[f"{number}_seed-{number + 1}"] for number in done}
    assert done == [0]
    resumed = launch(tmp_path, "-m", f"sweep.resume={folder}")
    assert "3 finished, 0 failed" in finish(resumed)
    assert fer_train(*SMALL, *options, f"hydra.sweep.dir={tmp_path}/whole").status == 0
    found, whole = records(folder), records(tmp_path / "whole")
    assert list(found) == [f"{number}_seed-{number + 1}" for number in range(3)] == list(whole)
    assert [record["status"] for record in found.values()] == ["finished"] * 3
    for name, record in found.items():
        assert record["best"] == whole[name]["best"]
        assert read_values(folder / name) == read_values(tmp_path / "whole" / name)
    assert {number: found[f"{number}_seed-{number + 1}"] for number in done} == before


def read_values(folder):
    """Return the metrics of each epoch without durations."""
    rows = read_metrics(folder / "metrics.csv")
    return [
        {key: value for key, value in row.items() if key.startswith(("train/loss", "val/"))} for row in rows
    ]


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(tmp_path):
    process = launch(tmp_path, "-m", "trainer.max_epochs=999", "seed=1,2", f"hydra.sweep.dir={tmp_path}/grid")
    wait_for(lambda: at_epoch(tmp_path / "grid" / "0_seed-1", 2), 120)
    process.send_signal(signal.SIGINT)
    output = "".join(process.communicate(timeout=100))
    assert process.returncode == 130
    assert f"interrupted. Resume with: fer-train -m sweep.resume={tmp_path}/grid\n" in output
    assert [trial.state.name for trial in trials(tmp_path / "grid")] == ["WAITING", "WAITING"]


def test_hydras_own_sweeper_is_still_there(fer_train, tmp_path):
    assert fer_train("-m", *ONE_EPOCH, "seed=1,2", "hydra/sweeper=basic").status == 0
    assert len(list(tmp_path.glob("outputs/multirun/*/*/run.json"))) == 2
    assert not list(tmp_path.glob("outputs/multirun/*/sweep.db"))
