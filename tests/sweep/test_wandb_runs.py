"""A sweep in W&B: the offline files of each trial, and the tag of the best one."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import wandb
from small_sweeps import finish, launch, plan_for
from wandb_file import decode_items, split_records

from fer.sweep.study import SweepStudy
from fer.sweep.wandb import tag_best, trial_wandb_config
from fer.training.config import WandbConfig

pytestmark = pytest.mark.slow
OVERRIDES = ("sweep=custom", "trainer.max_epochs=1", "logger=wandb", "logger.wandb.log_model=false")


def records(path):
    """Return the records of a file."""
    from wandb.proto.wandb_internal_pb2 import Record

    return [Record.FromString(content) for content in split_records(path.read_bytes())]


def read(path):
    """Return a file's run record, config, summary and exit code."""
    found = records(path)
    run = next(record.run for record in found if record.HasField("run"))
    config, summary = {}, {}
    for record in found:
        config |= decode_items(record.run.config.update) | decode_items(record.config.update)
        summary |= decode_items(record.summary.update)
    exit_code = next(record.exit.exit_code for record in found if record.HasField("exit"))
    return run, config, summary, exit_code


def files(folder: Path, number: int) -> list[Path]:
    """Return the offline files of a trial, oldest first."""
    paths = folder.glob(f"outputs/multirun/custom/{number}/wandb/*run-*/*.wandb")
    return sorted(paths, key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def sweep_root(tmp_path_factory):
    """Run a sweep of three trials, of which the last fails."""
    folder = tmp_path_factory.mktemp("sweep")
    overrides = ("sweep.space={optimizer.lr:[1e-3,1e-2,1e30]}", "sweep.sampler=grid", "optimizer=sgd")
    finish(launch(folder / "outputs", *OVERRIDES, *overrides, "sweep.max_failed_share=1"))
    return folder


@pytest.fixture
def study(sweep_root):
    storage = f"sqlite:///{sweep_root}/outputs/multirun/custom/sweep.db"
    return optuna.load_study(study_name="custom", storage=storage)


def test_trials_are_grouped_with_parameters_and_status(study, sweep_root):
    key, ids = study.user_attrs["key"], set()
    for trial in study.trials:
        run, config, summary, exit_code = read(files(sweep_root, trial.number)[0])
        ids.add(run.run_id)
        assert run.run_group == "custom"
        assert run.display_name == f"custom_{trial.number}"
        assert config["trial"] == {"number": trial.number, "optimizer/lr": trial.params["optimizer.lr"]}
        lines = [record.output_logger.line for record in records(files(sweep_root, trial.number)[0])]
        assert [line[:22] for line in lines if line] == ["epoch 1/1  train/loss "] * (trial.number < 2)
        status = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
        assert summary["status"] == status
        assert exit_code == (status == "failed")
    assert ids == {f"custom_{key}_{number}" for number in range(3)}
    assert study.trials[2].state.name == "FAIL"


def test_group_and_tags_of_the_environment_are_those_of_the_trials(monkeypatch):
    sweep_study = SimpleNamespace(plan=SimpleNamespace(name="mine"), study=SimpleNamespace(user_attrs={}))
    number_3 = SimpleNamespace(number=3, user_attrs={})
    settings = wandb.Settings(run_group="group", run_tags=("first",))
    monkeypatch.setattr("fer.sweep.wandb.wandb_settings", lambda: settings)
    trial = trial_wandb_config(sweep_study, number_3, {}, WandbConfig())
    assert (trial.group, trial.tags, trial.name) == ("group", ["first", "sweep"], "mine_3")
    chosen = trial_wandb_config(sweep_study, number_3, {}, WandbConfig(group="chosen", tags=["own"]))
    assert (chosen.group, chosen.tags) == ("chosen", ["own", "sweep"])


def test_a_failure_to_tag_the_best_trial_is_a_warning(sweep_root, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "outputs" / "multirun" / "custom"
    shutil.copytree(sweep_root / "outputs" / "multirun" / "custom", folder)
    sweep_study = SweepStudy(plan_for(folder, f"sqlite:///{folder}/sweep.db", name="custom"))
    monkeypatch.setattr("wandb.init", lambda **_: 1 / 0)
    tag_best(sweep_study, 1 - sweep_study.study.user_attrs["wandb_best"])
    assert capsys.readouterr().err.startswith("WARNING: W&B: the best trial was not tagged: ")


def test_best_tag_moves_to_a_better_trial(sweep_root, tmp_path):
    folder = tmp_path / "outputs" / "multirun" / "custom"
    shutil.copytree(sweep_root / "outputs" / "multirun" / "custom", folder)
    sweep_study = SweepStudy(plan_for(folder, f"sqlite:///{folder}/sweep.db", name="custom"))
    before = sweep_study.study.user_attrs["wandb_best"]
    tag_best(sweep_study, 1 - before)
    assert sweep_study.study.user_attrs["wandb_best"] == 1 - before
    latest = [read(files(tmp_path, number)[-1]) for number in (before, 1 - before)]
    assert [list(run.tags) for run, *_ in latest] == [["sweep"], ["sweep", "best"]]
    assert [summary["sweep/best"] for _, _, summary, _ in latest] == [False, True]
    count = len(list(folder.glob("*/wandb/*run-*")))
    tag_best(sweep_study, 1 - before)  # already tagged: nothing is sent
    assert len(list(folder.glob("*/wandb/*run-*"))) == count


def test_only_the_best_trial_is_tagged(study, sweep_root):
    best = study.best_trial.number
    assert study.user_attrs["wandb_best"] == best
    first, *_, last = files(sweep_root, best)
    run, _, summary, _ = read(last)
    assert run.run_id == read(first)[0].run_id
    assert list(run.tags) == ["sweep", "best"]
    assert summary["sweep/best"] is True
    assert summary["status"] == "finished"
    assert summary["best/accuracy"] == read(first)[2]["best/accuracy"] == study.best_value
    others = [trial.number for trial in study.trials if trial.number != best]
    assert [len(files(sweep_root, number)) for number in others] == [1, 1]
