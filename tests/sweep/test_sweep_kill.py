"""Sweeps with killed processes: no trial is lost or done twice."""

import json
import os
import signal

import optuna
import pytest
from optuna.trial import TrialState
from small_sweeps import RATES, finish, launch, wait_for

pytestmark = pytest.mark.slow

OVERRIDES = (
    "sweep=custom",
    "sweep.name=some",
    RATES,
    "sweep.n_trials=3",
    "sweep.pruner.name=none",
    "trainer.max_epochs=12",
)


def open_study(storage):
    return optuna.load_study(study_name="some", storage=storage)


def at_epoch(folder, epoch):
    """Return whether a trial has written that many rows, so that its checkpoint is there too."""
    metrics = folder / "metrics.csv"
    return metrics.is_file() and len(metrics.read_text().splitlines()) > epoch


def test_killed_sweep_is_resumed(tmp_path):
    folder, storage = tmp_path / "multirun" / "some", f"sqlite:///{tmp_path}/multirun/some/sweep.db"
    process = launch(tmp_path, *OVERRIDES)
    wait_for(lambda: at_epoch(folder / "1", 3), 120)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    before = open_study(storage).trials
    states = [trial.state for trial in before]
    assert states[:2] == [TrialState.COMPLETE, TrialState.RUNNING]
    output = finish(launch(tmp_path, *OVERRIDES, "sweep.resume=true"))
    assert "3 trials, 1 of them done" in output
    after = open_study(storage).trials
    assert [trial.state for trial in after] == [TrialState.COMPLETE] * 3
    assert after[0] == before[0]
    assert after[1].params == before[1].params
    record = json.loads((folder / "1" / "run.json").read_text())
    assert (record["resumes"], record["epochs"]) == (1, 12)  # resumed from its last checkpoint
    assert [len(trial.intermediate_values) for trial in after] == [12] * 3
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == list("012")


def test_two_launchers_share_a_sweep(tmp_path):
    overrides = (*OVERRIDES, "trainer.max_epochs=1", "sweep.n_trials=6")
    address = f"sqlite:///{tmp_path}/s.db"
    processes = [launch(tmp_path, *overrides, f"sweep.storage={address}") for _ in range(2)]
    outputs = [finish(process) for process in processes]
    assert all("6 finished, 0 pruned, 0 failed" in output for output in outputs)
    trials = open_study(address).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert len({trial.system_attrs["fer:owner"]["pid"] for trial in trials}) == 2
    assert len({trial.params["optimizer.lr"] for trial in trials}) == 6


def test_killed_joblib_worker_does_not_end_the_sweep(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    storage = f"sqlite:///{tmp_path}/multirun/some/sweep.db"
    process = launch(tmp_path, *OVERRIDES, "hydra/launcher=joblib", "sweep.jobs=2", "sweep.n_trials=4")

    def running_worker():
        if not (tmp_path / "multirun/some/sweep.db").is_file() or not at_epoch(
            tmp_path / "multirun/some/0", 2
        ):
            return None
        running = [trial for trial in open_study(storage).trials if trial.state == TrialState.RUNNING]
        return running[0].system_attrs["fer:owner"]["pid"] if running else None

    os.kill(wait_for(running_worker, 120), signal.SIGKILL)
    output = finish(process)
    assert "4 finished, 0 pruned, 0 failed" in output
    trials = open_study(storage).trials
    assert sum(trial.system_attrs.get("fer:deaths", 0) for trial in trials) >= 1
    assert [len(trial.intermediate_values) for trial in trials] == [12] * 4


def test_joblib_workers_stop_after_their_sweep_was_killed(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    storage = f"sqlite:///{tmp_path}/multirun/some/sweep.db"
    process = launch(tmp_path, *OVERRIDES, "hydra/launcher=joblib", "sweep.jobs=2", "sweep.n_trials=8")
    wait_for(lambda: at_epoch(tmp_path / "multirun/some/0", 2), 120)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)  # until the last worker has closed its output
    states = [trial.state for trial in open_study(storage).trials]
    assert states.count(TrialState.WAITING) >= 4
    assert TrialState.RUNNING not in states
