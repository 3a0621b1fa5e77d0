"""Sweeps started by fer-train: their files, how trials end, how sweeps are resumed."""

import json
import shlex
from types import SimpleNamespace

import optuna
import pytest
import torch
import yaml
from optuna.trial import TrialState
from small_sweeps import RATES, SMALL

from fer.sweep import worker
from fer.sweep.space import parse_space
from fer.sweep.study import SweepStudy
from fer.sweep.validate import max_steps_per_epoch
from fer.training import run as training
from fer.training.config import TrainerConfig

pytestmark = pytest.mark.slow

GRID = "sweep.space={optimizer.lr:[1e-3,1e30]}"  # at the second value the loss is not finite
CUSTOM = ("sweep=custom", "sweep.name=some", "trainer.max_epochs=1")


@pytest.fixture
def sweep(fer_train, tmp_path):
    """Run a small sweep; return its exit status and its study, None if none was created."""

    def run(*overrides):
        status = fer_train(*SMALL, *overrides).status
        databases = list(tmp_path.glob("outputs/multirun/*/sweep.db"))
        if not databases:
            return status, None
        storage = f"sqlite:///{databases[0]}"
        (name,) = [study.study_name for study in optuna.get_all_study_summaries(storage)]
        return status, optuna.load_study(study_name=name, storage=storage)

    return run


def folder_of(tmp_path, trial, name="some"):
    return tmp_path / "outputs" / "multirun" / name / str(trial.number)


@pytest.mark.slow
def test_pruned_and_finished_trials(sweep, tmp_path, capsys):
    status, study = sweep("sweep=smoke", "sweep.n_trials=5")
    assert status == 0
    out = capsys.readouterr().out
    states = [trial.state for trial in study.trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.trials:
        folder = folder_of(tmp_path, trial, "smoke")
        record = json.loads((folder / "run.json").read_text())
        pruned = trial.state == TrialState.PRUNED
        assert record["status"] == ("pruned" if pruned else "finished")
        assert record["epochs"] == len(trial.intermediate_values) == (1 if pruned else 3)
        assert (folder / "checkpoints").exists() != pruned
        assert 0.0 < trial.user_attrs["watch_seconds"] < record["fit_seconds"] < trial.user_attrs["seconds"]
        assert min(trial.intermediate_values) == 334  # a third of the schedule
        if not pruned:
            assert trial.value == record["best"]["val/accuracy"]
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert "sweep" not in config
        optimizer = config["optimizer"]
        assert trial.user_attrs["words"] == [
            f"optimizer={optimizer['name']}", f"optimizer.lr={optimizer['lr']}"
        ]  # fmt: skip
        assert f"trial {trial.number}  " in out
    assert (
        f"{states.count(TrialState.COMPLETE)} finished, {states.count(TrialState.PRUNED)} pruned, 0 failed"
        in out
    )


@pytest.mark.slow
def test_best_trial_is_reproduced_by_the_printed_command(sweep, fer_train, tmp_path, capsys):
    _, study = sweep("sweep=smoke", "sweep.n_trials=2")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("retrain")]
    run = fer_train(*shlex.split(line)[2:])
    assert run.record["best"]["val/accuracy"] == study.best_value
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    trained = yaml.safe_load((folder_of(tmp_path, study.best_trial, "smoke") / "config.yaml").read_text())
    assert {**config, "name": ""} == {**trained, "name": ""}


@pytest.mark.slow
def test_pruned_checkpoints_can_be_kept_and_the_run_resumed(sweep, fer_train, tmp_path):
    _, study = sweep("sweep=smoke", "sweep.n_trials=5", "sweep.keep_pruned=true")
    pruned = next(trial for trial in study.trials if trial.state == TrialState.PRUNED)
    folder = folder_of(tmp_path, pruned, "smoke")
    assert fer_train(f"resume={folder}").status == 0
    assert json.loads((folder / "run.json").read_text())["epochs"] == 3


def test_failed_trial_does_not_end_the_sweep(sweep, tmp_path):
    status, study = sweep(
        *CUSTOM, GRID, "sweep.sampler=grid", "sweep.n_trials=null", "sweep.max_failed_share=0.5"
    )
    assert status == 0
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL]
    assert study.trials[1].user_attrs["error"].startswith("The loss became NaN or infinite")
    assert "FerError" in (folder_of(tmp_path, study.trials[1]) / "error.txt").read_text()


@pytest.mark.slow
def test_too_many_failures_end_the_sweep(sweep, capsys):
    overrides = (*CUSTOM, "sweep.space={optimizer.lr:[1e30],seed:[0,1,2,3]}", "sweep.sampler=grid")
    status, study = sweep(*overrides)
    assert status == 2
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL", "FAIL", "WAITING"]
    error = capsys.readouterr().err
    assert "3 of 4 trials failed, more than sweep.max_failed_share=0.25" in error
    assert "The loss became NaN" in error
    status, study = sweep(*overrides, "sweep.resume=true", "sweep.max_failed_share=1")
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 4


def test_out_of_memory_fails_one_trial(sweep, monkeypatch):
    original, calls = training.run, []

    def run(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(*arguments, **options)

    monkeypatch.setattr(training, "run", run)
    status, study = sweep(*CUSTOM, RATES, "sweep.n_trials=2", "sweep.max_failed_share=0.5")
    assert status == 0
    assert study.trials[0].user_attrs["error"].startswith("OutOfMemoryError: CUDA out of memory")
    assert study.trials[1].state == TrialState.COMPLETE


def test_objective_that_is_not_finite_fails_one_trial(sweep, monkeypatch):
    monkeypatch.setattr(training, "run", lambda *_, **__: {"val/accuracy": float("nan")})
    status, study = sweep(*CUSTOM, RATES, "sweep.n_trials=1", "sweep.max_failed_share=1")
    # Every trial has failed.
    assert status == 2
    assert study.trials[0].user_attrs["error"].startswith("val/accuracy: expected a finite value")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_storage_failure_does_not_hang_the_sweep(sweep, monkeypatch):
    original, calls = SweepStudy.tell, []

    def tell(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise optuna.exceptions.StorageInternalError("database is locked")
        return original(*arguments)

    monkeypatch.setattr(SweepStudy, "tell", tell)
    status, study = sweep(*CUSTOM, RATES, "sweep.n_trials=2")
    assert status == 0
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2


@pytest.mark.slow
def test_storage_failure_during_a_report_costs_no_trial(sweep, monkeypatch):
    original, calls = SweepStudy.owns, []

    def owns(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise optuna.exceptions.StorageInternalError("server closed the connection unexpectedly")
        return original(*arguments)

    monkeypatch.setattr(SweepStudy, "owns", owns)
    status, study = sweep(*CUSTOM, RATES, "sweep.n_trials=2")
    assert status == 0
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert not any("fer:deaths" in trial.system_attrs for trial in study.trials)


@pytest.mark.slow
def test_pruned_trial_stays_pruned_if_its_process_dies_before_tell(sweep, monkeypatch, tmp_path):
    original, calls = SweepStudy.tell, []

    def tell(sweep_study, trial, state, *more):
        if state == TrialState.PRUNED and not calls:
            calls.append(trial.number)
            raise RuntimeError("killed here")
        return original(sweep_study, trial, state, *more)

    monkeypatch.setattr(SweepStudy, "tell", tell)
    status, study = sweep("sweep=smoke", "sweep.n_trials=5")
    assert status == 0
    trial = study.trials[calls[0]]
    assert trial.state == TrialState.PRUNED
    record = json.loads((folder_of(tmp_path, trial, "smoke") / "run.json").read_text())
    assert (record["epochs"], record.get("resumes", 0)) == (1, 0)  # it was not trained further
    assert trial.user_attrs["share"] == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.slow
def test_ctrl_c_requeues_the_trial_and_the_sweep_can_be_resumed(sweep, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    overrides = (*CUSTOM, RATES, "sweep.n_trials=2")
    with monkeypatch.context() as patch:
        patch.setattr(training, "run", interrupt)
        status, study = sweep(*overrides)
    assert status == 130
    assert [trial.state.name for trial in study.trials] == ["WAITING", "WAITING"]
    before = study.trials[0].params
    assert sweep(*overrides)[0] == 2
    assert "with 0 of 2 trials done. Set sweep.resume=true to resume it" in capsys.readouterr().err
    status, study = sweep(*overrides, "sweep.resume=true")
    assert status == 0
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    assert study.trials[0].params == before


def test_data_is_read_once(sweep, monkeypatch):
    original, calls = worker.read_data, []
    monkeypatch.setattr(worker, "read_data", lambda config: calls.append(1) or original(config))
    sweep(*CUSTOM, "sweep.space={datamodule.batch_size:[8,16]}", "sweep.sampler=grid")
    assert len(calls) == 1


def test_objective_is_the_monitor_of_the_trials(sweep, tmp_path):
    _, study = sweep(*CUSTOM, RATES, "sweep.n_trials=1", "sweep.objective=val/loss", "sweep.sampler=random")
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    config = yaml.safe_load((folder_of(tmp_path, study.trials[0]) / "config.yaml").read_text())
    assert config["monitor"] == "val/loss"


@pytest.mark.slow
def test_interpolated_tag_is_resolved_for_each_trial(sweep, tmp_path):
    overrides = (
        "sweep=custom",
        "sweep.name=some",
        "trainer.max_epochs=1",
        "sweep.sampler=grid",
    )
    tags = 'logger.wandb.tags=["${hydra:runtime.choices.optimizer}"]'
    space = "sweep.space={optimizer:[sgd,adamw]}"
    assert sweep(*overrides, space, "logger=wandb", tags)[0] == 0
    configs = [
        yaml.safe_load(file.read_text()) for file in tmp_path.glob("outputs/multirun/some/*/config.yaml")
    ]
    assert len(configs) == 2
    for config in configs:
        assert config["logger"]["wandb"]["tags"] == [config["optimizer"]["name"], "sweep"]


@pytest.mark.slow
def test_trial_that_died_after_its_last_epoch_has_a_complete_schedule(sweep, monkeypatch):
    """The process dies after the last epoch and before tell; nothing is left to train."""
    original = SweepStudy.tell
    monkeypatch.setattr(SweepStudy, "tell", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    overrides = ("sweep=smoke", "sweep.n_trials=1", "sweep.resume=true")
    assert sweep(*overrides)[0] != 0
    monkeypatch.setattr(SweepStudy, "tell", original)
    status, study = sweep(*overrides)
    assert (status, study.trials[0].state) == (0, TrialState.COMPLETE)
    assert study.trials[0].user_attrs["share"] == 1.0


def test_fractions_of_trials_that_end_at_max_steps(sweep):
    steps = ("trainer.max_epochs=9", "trainer.max_steps=5")  # an epoch has four
    status, study = sweep(*CUSTOM, *steps, RATES, "sweep.n_trials=1")
    assert status == 0
    assert list(study.trials[0].intermediate_values) == [800, 1000]
    # The first rung is at 80 % of the schedule, not before.
    assert [key for key in study.trials[0].system_attrs if "rung" in key] == ["completed_rung_0"]


@pytest.mark.parametrize(
    ("trainer", "space", "steps"),
    [
        ({}, {}, 20),
        ({"accumulate_grad_batches": 3}, {}, 7),
        ({"limit_train_batches": 6, "accumulate_grad_batches": 3}, {}, 2),
        ({"limit_train_batches": 0.5}, {}, 10),
        ({}, {"datamodule.batch_size": [8, 32]}, 40),
        ({}, {"datamodule.batch_size": {"low": 4, "high": 64, "log": True}}, 80),
        ({}, {"trainer.accumulate_grad_batches": [2, 4]}, 10),
    ],
)
def test_max_steps_per_epoch(trainer, space, steps):
    config = SimpleNamespace(trainer=TrainerConfig(**trainer), data=SimpleNamespace(batch_size=16))
    assert max_steps_per_epoch(config, parse_space({"seed": [0]} | space), images=321) == steps


def test_objects_shared_by_trials_are_collected_once(sweep, monkeypatch):
    counts = []
    collect = worker.gc.collect
    worker.gc.unfreeze()
    monkeypatch.setattr(
        worker.gc, "collect", lambda: counts.append(worker.gc.get_freeze_count()) or collect()
    )
    status, study = sweep(*CUSTOM, RATES, "sweep.n_trials=3", "sweep.pruner.name=none")
    assert (status, len(study.trials)) == (0, 3)
    first, *others = counts
    assert first == 0
    # Frozen once, after the first trial; a few of the frozen objects may end later.
    assert min(others) > 100_000
    assert max(others) - min(others) < 1_000
    assert worker.gc.get_freeze_count() == 0
