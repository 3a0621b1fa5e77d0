"""A run that will take long says so early."""

from types import SimpleNamespace

import pytest
import torch

from fer.training import pace
from fer.training.pace import Outlook


@pytest.fixture
def watch(monkeypatch):
    """Return what an `Outlook` sees: batches of 128 images, each of so many seconds, of a training."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])

    def go(seconds, batches=200, epochs=30, current=0, outlook=None, **changed):
        outlook = outlook or Outlook()
        trainer = SimpleNamespace(
            num_training_batches=batches, max_epochs=epochs, current_epoch=current, world_size=1,
            is_global_zero=True, progress_bar_callback=None,
        )  # fmt: skip
        vars(trainer).update(changed)
        module = SimpleNamespace(device=torch.device("cpu"))
        outlook.on_train_epoch_start(trainer, module)
        for number in range(40):
            now[0] += 10 * seconds if number == 0 else seconds  # the first batch is slower
            outlook.on_train_batch_end(trainer, module, {}, {"index": torch.arange(128)}, number)

    return go


def test_a_long_run_says_so_once(watch, capsys):
    watch(10.0)
    assert capsys.readouterr().out == "12.8 images/s: about 33 min an epoch, 17 h for 30, and validation\n"
    watch(10.0, current=29)
    assert capsys.readouterr().out == "12.8 images/s: about 33 min an epoch, and validation\n"
    watch(1.0, epochs=3)
    assert capsys.readouterr().out == "128 images/s: about 3 min an epoch, 10 min for 3, and validation\n"


def test_a_frozen_backbone_is_no_measure_of_the_rest(watch, capsys):
    outlook = Outlook(frozen_epochs=2)
    for epoch, seconds in enumerate((5.0, 5.0, 15.0, 15.0)):
        watch(seconds, epochs=12, current=epoch, outlook=outlook)
    frozen, whole = capsys.readouterr().out.splitlines()
    assert frozen == (
        "25.6 images/s: about 17 min an epoch while the backbone is frozen, and longer from epoch 3 on"
    )
    assert whole == "8.53 images/s: about 50 min an epoch, 8 h for 10, and validation"


@pytest.mark.parametrize(
    "changed", [{"epochs": 2}, {"batches": float("inf")}, {"is_global_zero": False}], ids=str
)
def test_nothing_is_said_of_one_that_is_soon_over_or_has_no_end(watch, capsys, changed):
    watch(1.0, **changed)
    assert capsys.readouterr().out == ""


def test_a_progress_bar_is_not_torn(watch, capsys):
    said = []
    watch(10.0, progress_bar_callback=SimpleNamespace(print=said.append))
    assert len(said) == 1
    assert capsys.readouterr().out == ""
