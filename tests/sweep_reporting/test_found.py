"""A sweep is found by folder or storage, and says what each trial came to."""

import shlex

import pytest
from told_sweeps import COMMAND, SOME, rising, tell

from fer.errors import FerError
from fer.sweep_reporting.found import find_sweep


@pytest.fixture
def sweep(tmp_path):
    return find_sweep(tell(tmp_path / "some", SOME), None, None)


def test_trials_are_counted_and_ranked(sweep):
    assert sweep.count() == {"finished": 2, "pruned": 2, "failed": 1}
    assert [trial.number for trial in sweep.ranking] == [0, 1]
    assert [trial.number for trial in sweep.judged] == [0, 1, 2, 3]
    assert sweep.reached(sweep.trials[2]) == pytest.approx(0.2)
    assert sweep.reached(sweep.trials[4]) is None


def test_of_a_loss_the_smallest_is_best(tmp_path):
    trials = [("finished", [1.2, 0.9, 1.0]), ("finished", [0.8, 0.7, 0.9])]
    folder = tell(tmp_path / "some", trials, "minimize", "val/loss")
    sweep = find_sweep(folder, None, None)
    assert sweep.reached(sweep.trials[0]) == 0.9
    assert [trial.number for trial in sweep.ranking] == [1, 0]


def test_the_command_can_be_typed(sweep):
    words = shlex.split(sweep.command(sweep.ranking[0]))
    assert words == ["fer-train", *COMMAND, "optimizer=adamw", "optimizer.lr=0.0001"]


def test_by_storage_and_name(tmp_path):
    storage = f"sqlite:///{tmp_path}/other.db"
    tell(tmp_path / "one", SOME, storage=storage)
    tell(tmp_path / "two", [("finished", rising(0.3))], storage=storage)
    assert len(find_sweep(tmp_path / "one", storage, None).trials) == 5
    assert len(find_sweep(tmp_path / "elsewhere", storage, "two").trials) == 1
    with pytest.raises(FerError, match=r"no sweep 'three'.*There are: one, two"):
        find_sweep(tmp_path / "three", storage, None)


def test_what_is_no_sweep_is_said(tmp_path):
    with pytest.raises(FerError, match=r"expected the folder of a sweep, with its sweep\.db"):
        find_sweep(tmp_path, None, None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FerError, match="there is no file"):
        find_sweep(tmp_path, f"journal:{tmp_path}/sweep.log", None)
