"""The printed estimate of the duration of a run."""

from types import SimpleNamespace

import pytest
import torch

from fer.training import progress
from fer.training.progress import DurationEstimate, TrainMetricsLogger


@pytest.fixture
def simulate(monkeypatch):
    """Return a function that simulates an epoch: 40 batches of 128 images at a given time per batch."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])

    def simulate_epoch(seconds, batches=200, epochs=30, current=0, estimate=None, **changed):
        estimate = estimate or DurationEstimate()
        trainer = SimpleNamespace(
            num_training_batches=batches, max_epochs=epochs, max_steps=-1, accumulate_grad_batches=1,
            current_epoch=current, world_size=1, is_global_zero=True, progress_bar_callback=None,
        )  # fmt: skip
        vars(trainer).update(changed)
        module = SimpleNamespace(device=torch.device("cpu"))
        estimate.on_train_epoch_start(trainer, module)
        for number in range(40):
            # the first batch is slower
            now[0] += 10 * seconds if number == 0 else seconds
            estimate.on_train_batch_end(trainer, module, {}, {"index": torch.arange(128)}, number)

    return simulate_epoch


def test_estimate_is_printed_once(simulate, capsys):
    simulate(10.0)
    assert (
        capsys.readouterr().out
        == "12.8 images/s: about 33 min per epoch, 17 h for 30 epochs, plus validation\n"
    )
    simulate(10.0, current=29)
    assert capsys.readouterr().out == "12.8 images/s: about 33 min per epoch, plus validation\n"
    simulate(1.0, epochs=3)
    assert (
        capsys.readouterr().out
        == "128 images/s: about 3 min per epoch, 10 min for 3 epochs, plus validation\n"
    )


def test_estimate_is_repeated_after_the_frozen_epochs(simulate, capsys):
    estimate = DurationEstimate(frozen_epochs=2)
    for epoch, seconds in enumerate((5.0, 5.0, 15.0, 15.0)):
        simulate(seconds, epochs=12, current=epoch, estimate=estimate)
    frozen, unfrozen = capsys.readouterr().out.splitlines()
    assert frozen == (
        "25.6 images/s: about 17 min per epoch while the backbone is frozen, longer from epoch 3 on"
    )
    assert unfrozen == "8.53 images/s: about 50 min per epoch, 8 h for 10 epochs, plus validation"


@pytest.mark.parametrize(
    ("changed", "duration"),
    [
        ({"max_steps": 500}, "33 min per epoch, 83 min for 2.5 epochs"),
        ({"max_steps": 500, "max_epochs": -1}, "33 min per epoch, 83 min for 2.5 epochs"),
        ({"max_steps": 500, "accumulate_grad_batches": 2}, "33 min per epoch, 3 h for 5 epochs"),
        ({"max_steps": 99_000}, "33 min per epoch, 17 h for 30 epochs"),
        ({"max_steps": 100}, "17 min to trainer.max_steps"),
        ({"max_epochs": -1}, "33 min per epoch"),
    ],
    ids=str,
)
def test_estimate_accounts_for_max_steps(simulate, capsys, changed, duration):
    simulate(10.0, **changed)
    assert capsys.readouterr().out == f"12.8 images/s: about {duration}, plus validation\n"


@pytest.mark.parametrize(
    "changed",
    [{"epochs": 2}, {"max_steps": 50}, {"batches": float("inf")}, {"is_global_zero": False}],
    ids=str,
)
def test_nothing_is_printed_for_short_or_endless_epochs(simulate, capsys, changed):
    simulate(1.0, **changed)
    assert capsys.readouterr().out == ""


def test_estimate_is_printed_through_the_progress_bar(simulate, capsys):
    lines = []
    simulate(10.0, progress_bar_callback=SimpleNamespace(print=lines.append))
    assert len(lines) == 1
    assert capsys.readouterr().out == ""


def test_metrics_state_has_the_key_of_older_checkpoints():
    assert TrainMetricsLogger().state_key == "Pace"
