"""What pruning spared: counted from run folders and shares of the schedule."""

import pytest
from told_sweeps import BATCH, EPOCHS, SOME, STEPS_AN_EPOCH, rising, tell

from fer.sweep_reporting.cost import both
from fer.sweep_reporting.found import find_sweep

EPOCH = BATCH * STEPS_AN_EPOCH


def test_images_and_seconds_with_and_without_pruning(tmp_path):
    own, unpruned = both(find_sweep(tell(tmp_path / "some", SOME[:4]), None, None))
    assert own.images == EPOCH * (9 + 9 + 3 + 1)
    assert unpruned.images == pytest.approx(EPOCH * 4 * EPOCHS)
    assert own.seconds == 2.0 * (9 + 9 + 3 + 1)
    # training, 1.5 s an epoch, grows to all nine; what lay around it, 0.5 s an epoch, stays
    assert unpruned.seconds == pytest.approx(1.5 * 4 * EPOCHS + 0.5 * (9 + 9 + 3 + 1))


def test_without_run_folders_the_images_are_not_known(tmp_path):
    folder = tell(tmp_path / "some", [("finished", rising(0.5)), ("pruned", rising(0.1, 3))], runs=False)
    own, unpruned = both(find_sweep(folder, None, None))
    assert own.images is None
    assert unpruned.images is None
    assert unpruned.seconds == pytest.approx(36.0)


def test_a_trial_that_was_resumed_counts_whole(tmp_path):
    folder = tell(tmp_path / "some", [("finished", rising(0.5))])
    (folder / "0" / "run.json").write_text('{"fit_seconds": 50.0}')  # more than its last attempt took
    assert both(find_sweep(folder, None, None))[0].seconds == 50.0
