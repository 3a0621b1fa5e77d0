"""A killed and resumed run gives the same result as an uninterrupted one."""

import csv
import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
import yaml
from forked import ForkedTrain

from fer.core.errors import FerError
from fer.training.config import LoggerConfig, WandbConfig
from fer.training.recorder import RunRecorder
from fer.training.resume import check_same_data, load_stopped_run
from fer.training.run_folder import read_config
from fer.training.run_record import read_record

LAST = "checkpoints/last.ckpt"
DATA = ("datamodule.num_train=256", "datamodule.num_val=64", "datamodule.num_test=8")
# Everything with a state: dropout, momentum, schedule, averaged weights, augmentation, early stopping.
OPTIONS = (
    *DATA, "model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "ema=true",
    "ema_decay=0.9", "scheduler=onecycle", "augmentation=standard", "early_stopping_patience=9",
    "trainer.max_epochs=6", "datamodule.batch_size=8",
)  # fmt: skip


def start(output, *overrides):
    # A W&B service process of the test session would survive the kill and keep the run open.
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    return ForkedTrain(f"output_dir={output}", *overrides, environment=environment)


def finish(process):
    output = "".join(process.communicate(timeout=250))
    assert process.returncode == 0, output
    return output


def only_run(output):
    (folder,) = output.glob("train/*/*")
    return folder


def kill_in_epoch(process, folder_of, epoch):
    """Wait for the checkpoint of an epoch, then kill the process in the next epoch."""
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
            # RunCheckpoint holds the path of the run folder
            if not str(key).startswith("RunCheckpoint"):
                yield from tensors(inner, f"{prefix}/{key}")
    elif isinstance(value, list | tuple):
        for key, inner in enumerate(value):
            yield from tensors(inner, f"{prefix}/{key}")


@pytest.mark.slow
def test_killed_and_resumed_run_has_the_same_weights(tmp_path):
    finish(start(tmp_path / "full", *OPTIONS))
    process = start(tmp_path / "killed", *OPTIONS, "logger=wandb")
    kill_in_epoch(process, lambda: only_run(tmp_path / "killed"), epoch=2)
    folder = only_run(tmp_path / "killed")
    killed_at = len(list(csv.DictReader((folder / "metrics.csv").open())))
    assert 2 <= killed_at < 6
    output = finish(start(tmp_path / "other", f"resume={folder}"))
    assert f"resuming from {folder / LAST}" in output
    # It was resumed in its folder.
    assert not list((tmp_path / "other").glob("train/*/*"))
    for name in ("best.ckpt", "last.ckpt"):
        one = torch.load(only_run(tmp_path / "full") / "checkpoints" / name, weights_only=True)
        two = torch.load(folder / "checkpoints" / name, weights_only=True)
        expected, got = dict(tensors(one)), dict(tensors(two))
        assert expected.keys() == got.keys()
        assert [key for key in expected if not torch.equal(expected[key], got[key])] == []
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    full = list(csv.DictReader((only_run(tmp_path / "full") / "metrics.csv").open()))
    same = [key for key in full[0] if not key.startswith("perf/")]
    assert [[row[key] for key in same] for row in rows] == [[row[key] for key in same] for row in full]
    seconds = [float(row["perf/fit_seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["resumes"], record["epochs"]) == ("finished", 1, 6)
    wandb_ids = [path.name.split("-", 3)[3] for path in (folder / "wandb").glob("offline-run-*")]
    # One W&B run in two parts.
    assert wandb_ids == [record["id"]] * 2


@pytest.fixture
def stopped(tiny_run):
    """A run folder as after a kill in the second epoch."""
    run = tiny_run("trainer.max_epochs=2")
    (run.folder / "run.json").write_text(json.dumps(run.record | {"status": "running"}))
    return run.folder


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("optimizer.lr=0.5",), "optimizer.lr 0.001 -> 0.5"),
        (("model=fast_cnn",), 'model.name "baseline_cnn" -> "fast_cnn"'),
        (("experiment=baseline", "datamodule.path=x.csv"), "more. Remove these options"),
    ],
)
def test_changed_options_are_an_error(stopped, fer_train, capsys, overrides, message):
    assert fer_train(f"resume={stopped}", *overrides).status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_may_be_repeated(stopped, fer_train):
    assert fer_train(f"resume={stopped}", "trainer.max_epochs=2", "optimizer=adamw").status == 0


def test_the_last_checkpoint_stands_for_its_run(stopped, fer_train):
    assert fer_train(f"resume={stopped / LAST}").status == 0
    assert read_record(stopped).status == "finished"


def test_other_files_are_refused(stopped, fer_train, capsys):
    best = stopped / "checkpoints" / "best.ckpt"
    other = stopped / "weights.pth"
    other.write_bytes(b"x")
    for path, advice in ((best, f"resume={stopped}. "), (other, "model.init_from=")):
        assert fer_train(f"resume={path}").status == 2
        error = capsys.readouterr().err
        assert "expected a run folder or its checkpoints/last.ckpt" in error
        assert advice in error


def test_run_without_a_checkpoint_is_restarted(stopped, fer_train):
    (stopped / LAST).unlink()
    assert fer_train(f"resume={stopped}").status == 0
    assert len(list(csv.DictReader((stopped / "metrics.csv").open()))) == 2


def test_finished_run_is_an_error(tiny_run, fer_train, capsys):
    folder = tiny_run().folder
    assert fer_train(f"resume={folder}").status == 2
    assert "this run has finished" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "a: [", "3", "model: {}"])
def test_other_folder_is_an_error(tmp_path, fer_train, capsys, text):
    folder = tmp_path / "other"
    folder.mkdir()
    if text is not None:
        (folder / "config.yaml").write_text(text)
    assert fer_train(f"resume={folder}").status == 2
    assert str(folder) in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/train/*/*"))


def test_other_data_is_an_error(stopped, fer_train, capsys):
    record = json.loads((stopped / "run.json").read_text())
    record["manifest"]["splits"]["val"]["pixels_sha256"] = "0" * 64
    (stopped / "run.json").write_text(json.dumps(record))
    assert fer_train(f"resume={stopped}").status == 2
    assert "the manifest differs in val" in capsys.readouterr().err


def test_damaged_checkpoint_is_an_error(stopped, fer_train, capsys):
    (stopped / LAST).write_bytes(b"PK\x03\x04 cut off")
    assert fer_train(f"resume={stopped}").status == 2
    assert str(stopped / LAST) in capsys.readouterr().err


def test_data_path_may_change(stopped, tmp_path):
    path = stopped / "config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "datamodule": {"name": "fer2013", "path": "before"}}))
    overridden = read_config(stopped).replace(resume=str(stopped)).with_path("elsewhere")
    config, folder = load_stopped_run(overridden, ["resume", "datamodule.path"])
    assert (config.data.path, folder) == ("elsewhere", stopped.resolve())


def test_default_projects_of_two_versions_are_the_same(stopped):
    config = read_config(stopped)
    wandb = WandbConfig(project="fer")
    (stopped / "config.yaml").write_text(
        yaml.safe_dump(config.replace(logger=LoggerConfig(wandb=wandb)).to_dict())
    )

    def resume(project):
        now = LoggerConfig(wandb=WandbConfig(project=project))
        return load_stopped_run(config.replace(resume=str(stopped), logger=now), ["logger"])

    for same in (None, "fer"):
        assert resume(same)[0].logger.wandb == wandb
    with pytest.raises(FerError, match=r'logger\.wandb\.project "fer" -> "mine"'):
        resume("mine")


def test_carve_out_hash_is_not_compared(stopped):
    manifest = json.loads((stopped / "run.json").read_text())["manifest"]
    check_same_data({**manifest, "carved_sha256": "0" * 64}, manifest, stopped)
    with pytest.raises(FerError, match="the manifest differs in image shape or labels"):
        check_same_data({**manifest, "image_shape": [1, 1, 1]}, manifest, stopped)


def test_early_stopped_run_is_not_continued(tiny_run, fer_train):
    """Killed between its last checkpoint and the final record."""
    overrides = ("trainer.max_epochs=9", "early_stopping_patience=2", "optimizer.lr=0", "scheduler=constant")
    folder = tiny_run(*overrides).folder
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert fer_train(f"resume={folder}").status == 0
    assert len(list(csv.DictReader((folder / "metrics.csv").open()))) == record["epochs"] < 9


@pytest.mark.parametrize(
    ("key", "value", "option"),
    [("precision", "16-mixed", "trainer.precision"), ("processes", 2, "trainer.devices")],
)
def test_other_choice_of_auto_is_an_error(stopped, fer_train, capsys, key, value, option):
    record = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps(record | {key: value}))
    assert fer_train(f"resume={stopped}").status == 2
    assert f"expected {option}={value}, as when the run was started" in capsys.readouterr().err


def test_nan_monitor_is_never_the_best(tmp_path):
    recorder = RunRecorder(tmp_path / "metrics.csv", "val/loss")
    recorder.best = {"epoch": 1, "val/loss": float("nan")}
    assert recorder._is_better(9.0)
    recorder.best = {"epoch": 2, "val/loss": 9.0}
    assert not recorder._is_better(float("nan"))


def test_plateau_schedule_is_stepped_for_the_last_epoch(tmp_path):
    """Lightning writes the checkpoint before it steps the schedule."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.1, patience=0, threshold=0.0)
    plateau.step(0.5)
    recorder = RunRecorder(tmp_path / "metrics.csv", "val/accuracy")
    recorder.rows = [{"epoch": 1, "val/accuracy": 0.5}, {"epoch": 2}, {"epoch": 3, "val/accuracy": 0.4}]
    trainer = SimpleNamespace(lr_scheduler_configs=[SimpleNamespace(scheduler=plateau)])
    for _ in range(2):
        recorder.on_train_start(trainer, None)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
