"""A sweep is loaded by folder or storage, with the value and the command of each trial."""

import shlex

import pytest
from recorded_sweeps import COMMAND, FEW_TRIALS, rising, write_sweep

from fer.core.errors import FerError
from fer.sweep.report.results import load_sweep


@pytest.fixture
def sweep(tmp_path):
    return load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)


def test_trials_are_counted_and_ranked(sweep):
    assert sweep.count() == {"finished": 2, "pruned": 2, "failed": 1}
    assert [trial.number for trial in sweep.ranking] == [0, 1]
    assert [trial.number for trial in sweep.measured] == [0, 1, 2, 3]
    assert sweep.best_value(sweep.trials[2]) == pytest.approx(0.2)
    assert sweep.best_value(sweep.trials[4]) is None


def test_smallest_loss_is_best(tmp_path):
    trials = [("finished", [1.2, 0.9, 1.0]), ("finished", [0.8, 0.7, 0.9])]
    folder = write_sweep(tmp_path / "some", trials, "minimize", "val/loss")
    sweep = load_sweep(folder, None, None)
    assert sweep.best_value(sweep.trials[0]) == 0.9
    assert [trial.number for trial in sweep.ranking] == [1, 0]


def test_command_can_be_parsed_by_a_shell(sweep):
    arguments = shlex.split(sweep.command(sweep.ranking[0]))
    assert arguments == ["fer-train", *COMMAND, "optimizer=adamw", "optimizer.lr=0.0001"]


def test_load_by_storage_and_name(tmp_path):
    storage = f"sqlite:///{tmp_path}/other.db"
    write_sweep(tmp_path / "one", FEW_TRIALS, storage=storage)
    write_sweep(tmp_path / "two", [("finished", rising(0.3))], storage=storage)
    assert len(load_sweep(tmp_path / "one", storage, None).trials) == 5
    assert len(load_sweep(tmp_path / "elsewhere", storage, "two").trials) == 1
    with pytest.raises(FerError, match=r"expected a sweep 'three', got one, two"):
        load_sweep(tmp_path / "three", storage, None)


def test_folder_without_a_sweep_is_rejected(tmp_path):
    with pytest.raises(FerError, match=r"expected the folder of a sweep, with its sweep\.db"):
        load_sweep(tmp_path, None, None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FerError, match="there is no file"):
        load_sweep(tmp_path, f"journal:{tmp_path}/sweep.log", None)
