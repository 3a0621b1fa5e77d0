"""A run that is killed goes on where it stopped, and ends as one that was never killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from fer.errors import FerError
from fer.training.recorder import RunRecorder
from fer.training.resume import check_same_data, stopped_run

LAST = "checkpoints/last.ckpt"
FACES = ("datamodule.num_train=256", "datamodule.num_val=64", "datamodule.num_test=8")
# All that has a state: dropout, momenta, a schedule, averaged weights, augmentation, patience.
RUN = (
    *FACES, "model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "ema=true",
    "ema_decay=0.9", "scheduler=onecycle", "augmentation=standard", "early_stopping_patience=9",
    "trainer.max_epochs=6", "datamodule.batch_size=8",
)  # fmt: skip


def start(output, *words):
    command = [sys.executable, "-m", "fer.train", f"output_dir={output}", *words]
    # W&B's helper process of this session, if there is one, would outlive the kill and hold on to the run.
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(process):
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def only_run(output):
    (folder,) = output.glob("train/*/*")
    return folder


def kill_in_epoch(process, folder_of, epoch):
    """Wait for the checkpoint of an epoch, let the next one begin, and kill."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            rows = (folder_of() / "metrics.csv").read_text().splitlines()
        except (ValueError, OSError):
            rows = []
        if len(rows) > epoch and (folder_of() / LAST).exists():
            time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait(30) == -signal.SIGKILL


def tensors(value, prefix=""):
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not str(key).startswith("RunCheckpoint"):  # it holds the path of the run folder
                yield from tensors(inner, f"{prefix}/{key}")
    elif isinstance(value, list | tuple):
        for key, inner in enumerate(value):
            yield from tensors(inner, f"{prefix}/{key}")


def test_killed_and_resumed_ends_with_the_very_same_weights(tmp_path):
    finish(start(tmp_path / "whole", *RUN))
    process = start(tmp_path / "killed", *RUN, "logger=wandb")
    kill_in_epoch(process, lambda: only_run(tmp_path / "killed"), epoch=2)
    folder = only_run(tmp_path / "killed")
    killed_at = len(list(csv.DictReader((folder / "metrics.csv").open())))
    assert 2 <= killed_at < 6
    output = finish(start(tmp_path / "other", f"resume={folder}"))
    assert f"going on from {folder / LAST}" in output
    assert not list((tmp_path / "other").glob("train/*/*"))  # it went on in its own folder
    for name in ("best.ckpt", "last.ckpt"):
        one = torch.load(only_run(tmp_path / "whole") / "checkpoints" / name, weights_only=True)
        two = torch.load(folder / "checkpoints" / name, weights_only=True)
        expected, got = dict(tensors(one)), dict(tensors(two))
        assert expected.keys() == got.keys()
        assert [key for key in expected if not torch.equal(expected[key], got[key])] == []
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    whole = list(csv.DictReader((only_run(tmp_path / "whole") / "metrics.csv").open()))
    same = [key for key in whole[0] if not key.startswith("perf/")]
    assert [[row[key] for key in same] for row in rows] == [[row[key] for key in same] for row in whole]
    seconds = [float(row["perf/fit_seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["resumes"], record["epochs"]) == ("finished", 1, 6)
    started = [path.name.split("-", 3)[3] for path in (folder / "wandb").glob("offline-run-*")]
    assert started == [f"{folder.parent.name}_{folder.name}"] * 2  # one run for W&B, in two parts


@pytest.fixture
def stopped(tiny_run):
    """A run that looks as one that was killed in its second epoch."""
    run = tiny_run("trainer.max_epochs=2")
    (run.folder / "run.json").write_text(json.dumps(run.record | {"status": "running"}))
    return run.folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("optimizer.lr=0.5",), "optimizer.lr 0.001 -> 0.5"),
        (("model=fast_cnn",), 'model.name "baseline_cnn" -> "fast_cnn"'),
        (("experiment=baseline", "datamodule.path=x.csv"), "more. Leave them out"),
    ],
)
def test_another_config_is_refused(stopped, fer_train, capsys, words, message):
    assert fer_train(f"resume={stopped}", *words).status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_option_may_be_repeated(stopped, fer_train):
    assert fer_train(f"resume={stopped}", "trainer.max_epochs=2", "optimizer=adamw").status == 0


def test_a_run_without_a_checkpoint_begins_again(stopped, fer_train):
    (stopped / LAST).unlink()
    assert fer_train(f"resume={stopped}").status == 0
    assert len(list(csv.DictReader((stopped / "metrics.csv").open()))) == 2


def test_a_finished_run_is_refused(tiny_run, fer_train, capsys):
    folder = tiny_run().folder
    assert fer_train(f"resume={folder}").status == 2
    assert "this run has finished" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "a: [", "3", "model: {}"])
def test_what_is_no_run_is_refused(tmp_path, fer_train, capsys, text):
    folder = tmp_path / "stranger"
    folder.mkdir()
    if text is not None:
        (folder / "config.yaml").write_text(text)
    assert fer_train(f"resume={folder}").status == 2
    assert str(folder) in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/train/*/*"))


def test_other_data_are_refused(stopped, fer_train, capsys):
    record = json.loads((stopped / "run.json").read_text())
    record["manifest"]["splits"]["val"]["pixels_sha256"] = "0" * 64
    (stopped / "run.json").write_text(json.dumps(record))
    assert fer_train(f"resume={stopped}").status == 2
    assert "val differs by its manifest" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_one_clear_error(stopped, fer_train, capsys):
    (stopped / LAST).write_bytes(b"PK\x03\x04 cut off")
    assert fer_train(f"resume={stopped}").status == 2
    assert str(stopped / LAST) in capsys.readouterr().err


def test_data_may_have_moved(stopped, tmp_path):
    given = {"resume": str(stopped), "datamodule": {"path": "elsewhere"}}
    config, folder = stopped_run(given, ["resume", "datamodule.path"])
    assert (config["datamodule"]["path"], folder) == ("elsewhere", stopped.resolve())


def test_what_a_carve_out_is_known_by_decides_nothing(stopped):
    manifest = json.loads((stopped / "run.json").read_text())["manifest"]
    check_same_data({**manifest, "carved_sha256": "0" * 64}, manifest, stopped)
    with pytest.raises(FerError, match="the shape differs"):
        check_same_data({**manifest, "image_shape": [1, 1, 1]}, manifest, stopped)


def test_early_stopping_that_had_stopped_a_run_stops_it_again(tiny_run, fer_train):
    """Killed after its last checkpoint, and before it was written down that it had finished."""
    words = ("trainer.max_epochs=9", "early_stopping_patience=2", "optimizer.lr=0", "scheduler=constant")
    folder = tiny_run(*words).folder
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert fer_train(f"resume={folder}").status == 0
    assert len(list(csv.DictReader((folder / "metrics.csv").open()))) == record["epochs"] < 9


@pytest.mark.parametrize(
    ("key", "option"), [("precision", "trainer.precision"), ("processes", "trainer.devices")]
)
def test_where_auto_would_choose_otherwise_a_run_does_not_go_on(stopped, fer_train, capsys, key, option):
    record = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps(record | {key: "another"}))
    assert fer_train(f"resume={stopped}").status == 2
    assert f"the run began with {option} another, and auto means" in capsys.readouterr().err


def test_a_monitor_that_is_no_number_is_never_the_best(tmp_path):
    recorder = RunRecorder(tmp_path / "metrics.csv", "val/loss")
    recorder.best = {"epoch": 1, "val/loss": float("nan")}
    assert recorder._is_better(9.0)
    recorder.best = {"epoch": 2, "val/loss": 9.0}
    assert not recorder._is_better(float("nan"))


def test_a_plateau_hears_of_the_epoch_that_a_checkpoint_ended(tmp_path):
    """Lightning writes the checkpoint first, and then tells the schedule."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.1, patience=0, threshold=0.0)
    plateau.step(0.5)
    recorder = RunRecorder(tmp_path / "metrics.csv", "val/accuracy")
    recorder.rows = [{"epoch": 1, "val/accuracy": 0.5}, {"epoch": 2}, {"epoch": 3, "val/accuracy": 0.4}]
    trainer = SimpleNamespace(lr_scheduler_configs=[SimpleNamespace(scheduler=plateau)])
    for _ in range(2):
        recorder.on_train_start(trainer, None)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
