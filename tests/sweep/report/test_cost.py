"""The cost with and without pruning, from run folders and fractions of the schedule."""

import pytest
from recorded_sweeps import BATCH, EPOCHS, FEW_TRIALS, STEPS_PER_EPOCH, rising, write_sweep

from fer.sweep.report.results import load_sweep, sweep_costs

EPOCH = BATCH * STEPS_PER_EPOCH


def test_images_and_seconds_with_and_without_pruning(tmp_path):
    actual, unpruned = sweep_costs(load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS[:4]), None, None))
    assert actual.images == EPOCH * (9 + 9 + 3 + 1)
    assert unpruned.images == pytest.approx(EPOCH * 4 * EPOCHS)
    assert actual.seconds == 2.0 * (9 + 9 + 3 + 1)
    # Training of 1.5 s per epoch is extended to nine epochs; the overhead of 0.5 s per epoch is not.
    assert unpruned.seconds == pytest.approx(1.5 * 4 * EPOCHS + 0.5 * (9 + 9 + 3 + 1))


def test_image_passes_are_unknown_without_run_folders(tmp_path):
    folder = write_sweep(
        tmp_path / "some", [("finished", rising(0.5)), ("pruned", rising(0.1, 3))], runs=False
    )
    actual, unpruned = sweep_costs(load_sweep(folder, None, None))
    assert actual.images is None
    assert unpruned.images is None
    assert unpruned.seconds == pytest.approx(36.0)


def test_all_attempts_of_a_resumed_trial_count(tmp_path):
    folder = write_sweep(tmp_path / "some", [("finished", rising(0.5))])
    (folder / "0" / "run.json").write_text('{"fit_seconds": 50.0}')  # more than its last attempt took
    assert sweep_costs(load_sweep(folder, None, None))[0].seconds == 50.0
