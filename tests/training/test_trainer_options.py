"""Options of Lightning's Trainer are passed through, or rejected with a one-line error."""

import csv

import pytest
import torch

from fer.core.errors import FerError
from fer.training.trainer import explain_fit_error


def test_trainer_options_are_passed_through(tiny_run):
    run = tiny_run(
        "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2", "trainer.gradient_clip_val=0.5"
    )
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert rows[-1]["step"] == "2"


@pytest.mark.parametrize(
    "overrides",
    [
        "trainer.fast_dev_run=true",
        "trainer.overfit_batches=2",
        "trainer.val_check_interval=0.5",
        "trainer.num_sanity_val_steps=1",
        "trainer.enable_checkpointing=false",
        "trainer.deterministic=true",
        "trainer.devices=auto",
        "trainer.precision=bf16-true ema=true",
        "trainer.precision=64-true ema=true",
        "trainer.precision=bf16-mixed trainer.gradient_clip_val=0.5",
        "scheduler=plateau trainer.check_val_every_n_epoch=2",
    ],
)
def test_trainer_option(overrides, tiny_run):
    run = tiny_run(*overrides.split(), "trainer.max_epochs=2")
    assert run.status == 0
    assert run.record["status"] == "finished"


@pytest.mark.parametrize(
    ("override", "validated"),
    [
        ("early_stopping_patience=9", ["2", "3"]),
        ("trainer.check_val_every_n_epoch=3", ["3"]),
        ("trainer.min_epochs=5", ["2", "3"]),
    ],
)
def test_last_step_of_max_steps_is_validated(override, validated, tiny_run):
    run = tiny_run("trainer.limit_train_batches=2", "trainer.max_steps=3", "trainer.max_epochs=9", override)
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [row["step"] for row in rows if row.get("val/accuracy")] == validated


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "early_stopping_patience=1 trainer.limit_val_batches=0",
            "early_stopping_patience: expected a validation of val/accuracy",
        ),
        (
            "scheduler=plateau trainer.limit_val_batches=0",
            "scheduler=plateau: expected a validation of val/accuracy",
        ),
        ("trainer.limit_val_batches=0.1", "trainer: You requested to check 0.1 of the `val_dataloader`"),
        (
            "trainer.limit_train_batches=0.01",
            "trainer: You requested to check 0.01 of the `train_dataloader`",
        ),
    ],
)
def test_incompatible_trainer_options(overrides, message, tiny_run, capsys):
    assert tiny_run(*overrides.split()).status == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_epochs_without_validation_have_no_val_metrics(tiny_run):
    run = tiny_run("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=4")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [bool(row["val/accuracy"]) for row in rows] == [False, True, False, True]


def test_sanity_check_is_not_an_epoch(tiny_run):
    run = tiny_run("trainer.num_sanity_val_steps=1", "trainer.max_epochs=1")
    row = next(csv.DictReader((run.folder / "metrics.csv").open()))
    assert run.record["best"]["val/loss"] == float(row["val/loss"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "Reduce datamodule.batch_size"),
        (RuntimeError("Early stopping conditioned on metric `val/accuracy`"), "none ran: Early"),
        (ValueError("Expected more than 1 value per channel when training"), "datamodule.batch_size: batch"),
    ],
)
def test_known_errors_of_a_fit_are_explained(error, expected):
    explained = explain_fit_error(error, 1)
    assert isinstance(explained, FerError)
    assert expected in str(explained)


def test_other_errors_of_a_fit_are_unchanged():
    error = ValueError("unknown")
    assert explain_fit_error(error, 1) is error
