"""``monitor=train/loss`` and its like: known at the end of an epoch, after its validation."""

import csv

import pytest
import torch

from fer.core.errors import FerError
from fer.sweep.objectives import check_not_training, check_objectives
from fer.training.metrics import check_monitor, monitor_mode

SMALL = ("model=fast_cnn_inner", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]")


def rows_of(run):
    return list(csv.DictReader((run.folder / "metrics.csv").open()))


def test_the_best_epoch_is_that_of_the_training_metric(tiny_run):
    options = ("monitor=train/accuracy", "trainer.max_epochs=3", "optimizer.lr=0.01", "logger=tensorboard")
    run = tiny_run(*SMALL, *options, "early_stopping_patience=5")
    rows = rows_of(run)
    values = [float(row["train/accuracy"]) for row in rows]
    best = 1 + values.index(max(values))
    assert run.record["best"]["epoch"] == best
    assert run.record["best"]["train/accuracy"] == pytest.approx(max(values))
    assert len(set(values)) > 1
    assert run.record["best"]["val/accuracy"] == pytest.approx(float(rows[best - 1]["val/accuracy"]))
    content = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["epoch"] + 1 == best


def test_early_stopping_and_plateau_follow_the_training_metric(tiny_run):
    options = ("monitor=train/loss", "scheduler=plateau", "scheduler.patience=0", "early_stopping_patience=2")
    run = tiny_run(*SMALL, *options, "optimizer.lr=0", "trainer.max_epochs=6", "augmentation=none",
                   "model.dropout=0", "optimizer=sgd", "trainer.precision=32-true")  # fmt: skip
    assert len(rows_of(run)) < 6


def test_only_validated_epochs_are_compared(tiny_run):
    run = tiny_run(*SMALL, "monitor=train/loss", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2")
    assert run.record["best"]["epoch"] == 2
    content = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["epoch"] + 1 == 2


def test_another_logged_metric_needs_its_mode(tiny_run, capsys):
    assert tiny_run(*SMALL, "monitor=perf/images_per_second").status == 2
    assert "add monitor_mode=max or min" in capsys.readouterr().err
    run = tiny_run(*SMALL, "monitor=perf/images_per_second", "monitor_mode=max")
    assert run.record["best"]["perf/images_per_second"] > 0
    assert tiny_run(*SMALL, "monitor=train/unheard_of", "monitor_mode=max").status == 2
    assert "monitor: expected a metric that is logged" in capsys.readouterr().err


def test_modes():
    assert (monitor_mode("train/loss"), monitor_mode("train/accuracy")) == ("min", "max")
    check_monitor("train/loss")
    with pytest.raises(FerError, match="monitor: expected a validation metric"):
        check_monitor("test/loss", "min")


def test_a_search_does_not_optimise_a_training_metric():
    with pytest.raises(FerError, match=r"sweep\.objective: expected a validation metric .*got train/loss"):
        check_not_training("train/loss")
    with pytest.raises(FerError, match=r"sweep\.objective: expected a validation metric"):
        check_objectives(["train/loss", "val/accuracy"])
