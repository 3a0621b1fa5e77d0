"""Trials that were validated on different images or emotions are not comparable, which is said."""

from types import SimpleNamespace

import pytest
from optuna.trial import create_trial
from small_sweeps import SMALL

from fer.core.errors import FerError
from fer.sweep import comparable
from fer.sweep.create import _check_same
from fer.sweep.report.page import report
from fer.sweep.report.results import load_sweep
from fer.training.run_record import RunRecord


def manifest(emotions, sha):
    split = {"split": "val", "count": 1200, "labels_sha256": sha}
    return {"label_space": {"name": "own", "names": emotions}, "splits": {"val": split}}


@pytest.fixture
def warning(tmp_path):
    """Return the warning for trials with these manifests."""

    def warn(*manifests):
        trials = []
        for number, content in enumerate(manifests):
            (tmp_path / str(number)).mkdir()
            RunRecord(id="a", status="finished", manifest=content).write(tmp_path / str(number))
            trials.append(create_trial(value=0.5))
            trials[-1].number = number
        return comparable.comparability_warning(tmp_path, trials, "val/accuracy")

    return warn


def test_trials_of_one_data_set_are_comparable(warning):
    same = manifest(["sad", "happy"], "1")
    assert warning(same, same, {}) == ""


def test_trials_of_several_data_sets_are_named(warning):
    two, three = manifest(["sad", "happy"], "1"), manifest(["sad", "happy", "fear"], "2")
    other = manifest(["sad", "happy"], "3")
    assert warning(two, three, two, *[other] * 7) == (
        "the trials were validated on different images or emotions, so their val/accuracy cannot be compared "
        "(trials 0, 2: 2 emotions, 1,200 images; trial 1: 3 emotions, 1,200 images; "
        "trials 3, 4, 5, 6, 7 and 2 more: 2 emotions, 1,200 images)."
    )


def test_a_grid_over_emotions_says_so(fer_train, tmp_path, capsys):
    grid = ("datamodule.emotions=[happy,sad],null", f"hydra.sweep.dir={tmp_path}/grid")
    assert fer_train("-m", *SMALL, "trainer.max_epochs=1", *grid).status == 0
    text = "validated on different images or emotions, so their val/accuracy cannot be compared (trial 0: 2 "
    assert f"WARNING: the trials were {text}" in capsys.readouterr().out
    page = report(load_sweep(tmp_path / "grid", None, None))
    assert f"The trials were {text}" in page.read_text()


@pytest.mark.parametrize("is_grid", [True, False])
def test_an_option_that_an_earlier_version_lacked_may_be_off(is_grid):
    search = {"objective": "val/accuracy", "space": {}}
    stored = {"search": search, "base": {"augmentation": {"flip": 0.5}}}
    earlier = SimpleNamespace(
        plan=SimpleNamespace(name="old", is_grid=is_grid),
        study=SimpleNamespace(user_attrs=stored),
        trials=lambda: [],
    )
    _check_same(earlier, search, {"augmentation": {"flip": 0.5, "blur": 0.0}})
    with pytest.raises(FerError, match=r"sweep\.name=old: expected .*, as in the existing sweep"):
        _check_same(earlier, search, {"augmentation": {"flip": 0.5, "blur": 0.1}})
