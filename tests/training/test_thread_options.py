"""Threads of a training, and the warning about a busy machine."""

from types import SimpleNamespace

import pytest
import torch

from fer.training import callbacks
from fer.training.callbacks import BusyCoresWarning


def test_threads_are_an_option_and_no_part_of_the_recipe(tiny_run, monkeypatch):
    counts = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    run = tiny_run("threads=3")
    assert run.status == 0
    # The first run of a process then measures its precisions with one thread.
    assert counts[0] == 3
    from fer.evaluation.runs import load_run

    assert load_run(run.folder).recipe_sha256 == load_run(tiny_run().folder).recipe_sha256


def test_threads_are_at_least_one(tiny_run, capsys):
    assert tiny_run("threads=0").status == 2
    assert "threads: expected an integer of at least 1 or null, got 0." in capsys.readouterr().err


@pytest.mark.usefixtures("exported_once", "no_plots")
def test_commands_take_threads(run, fer_evaluate, fer_export, monkeypatch):
    counts = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    assert fer_evaluate(run, "--threads", 2)[0] == 0
    assert fer_export(run, "--threads", 3)[0] == 0
    assert counts == [2, 3]
    status, _, message = fer_evaluate(run, "--threads", "none")
    assert (status, "expected an integer of at least 1, got 'none'" in message) == (2, True)


@pytest.mark.parametrize(("share", "warns"), [(0.6, True), (0.1, False), (None, False)])
def test_a_busy_machine_is_a_warning_once(share, warns, monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "CoreWait", lambda: SimpleNamespace(share=lambda: share))
    callback, trainer = BusyCoresWarning(after=0), SimpleNamespace(progress_bar_callback=None)
    callback.on_train_start(trainer, None)
    callback.on_train_epoch_end(trainer, None)
    callback.on_train_epoch_end(trainer, None)
    assert capsys.readouterr().out.count("WARNING: the threads of this run waited 60%") == warns


def test_a_short_time_is_not_judged(capsys):
    callback, trainer = BusyCoresWarning(max_share=-1), SimpleNamespace(progress_bar_callback=None)
    callback.on_train_start(trainer, None)
    callback.on_train_epoch_end(trainer, None)
    assert not capsys.readouterr().out
