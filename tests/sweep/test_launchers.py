"""Each launcher starts the workers of a sweep."""

import optuna
import pytest
import torch
from optuna.trial import TrialState
from small_sweeps import SMALL

from fer.sweep import worker

FOUR = ("trainer.max_epochs=1", "optimizer=adamw,sgd", "seed=1,2")


@pytest.mark.slow
@pytest.mark.parametrize(
    # Those of joblib share the trials of a search in test_sweep_kill.py.
    ("launcher", "jobs"),
    [("submitit_local", []), ("ray", ["sweep.jobs=2"])],
)
def test_workers_of_a_launcher_share_the_trials_of_a_grid(
    launcher, jobs, fer_train, tmp_path, monkeypatch, capfd
):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.removesuffix('_local')}_launcher")
    if not jobs:  # then one for each core
        monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    folder = tmp_path / "grid"
    options = (*SMALL, *FOUR, f"hydra/launcher={launcher}", *jobs, f"hydra.sweep.dir={folder}")
    assert fer_train("-m", *options).status == 0
    assert "4 trials, 2 workers" in capfd.readouterr().out
    storage = f"sqlite:///{folder}/sweep.db"
    study = optuna.load_study(study_name=optuna.get_all_study_names(storage)[0], storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    assert len({trial.system_attrs["fer:owner"]["pid"] for trial in study.trials}) == 2
    assert sorted(path.parent.name for path in folder.glob("*/run.json")) == [
        "0_optimizer-adamw_seed-1", "1_optimizer-adamw_seed-2", "2_optimizer-sgd_seed-1",
        "3_optimizer-sgd_seed-2",
    ]  # fmt: skip


def test_workers_of_a_machine_share_its_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(worker.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for workers, number, expected in ((2, 0, "0"), (16, 4, "1")):
        worker._divide_machine(workers, number)
        assert worker.os.environ.pop("CUDA_VISIBLE_DEVICES") == expected
    assert threads == [4, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    worker._divide_machine(2, 1)
    assert worker.os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    worker._divide_machine(1, 0)
    assert worker.os.environ["CUDA_VISIBLE_DEVICES"] == "7"
