"""W&B and TensorBoard: the logs of a fer-train process, read back from its files."""

import base64
import csv
import hashlib
import json
import os
import pty
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import wandb
import yaml
from forked import ForkedTrain
from PIL import Image
from tiny import TINY, TINY_FACES
from wandb_file import OfflineRun, read_wandb

from fer.training import loggers
from fer.training.metrics import OVERALL, best_name
from fer.training.wandb_config import WandbConfig

pytestmark = pytest.mark.slow
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# Seconds; far more than any of these processes needs.
TIMEOUT = 300
START = """
import sys
from pathlib import Path
from fer.training.config import WandbConfig
from fer.training.loggers import finish_wandb, start_wandb
finish_wandb(start_wandb(WandbConfig(), Path(sys.argv[1]), {"seed": 1}, None), failed=False)
"""


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment without a W&B login."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "XDG"))}
    return environment | {"HOME": str(home), "NETRC": str(home / "netrc"), "OMP_NUM_THREADS": "1"}


@dataclass
class FinishedRun:
    """A run of fer-train in a separate process."""

    folder: Path
    home: Path
    output: str

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.folder / "metrics.csv").open()))

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, fer2013_csv) -> FinishedRun:
    home = tmp_path_factory.mktemp("process")
    overrides = [f"output_dir={home}/outputs", "datamodule=fer2013", f"datamodule.path={fer2013_csv}", *TINY]
    overrides += ["trainer.max_epochs=3", "monitor=val/macro_f1", "logger=all"]
    process = ForkedTrain(*overrides, environment=clean_environment(home) | {"WANDB_MODE": "offline"})
    output = "".join(process.communicate(TIMEOUT))
    assert process.returncode == 0, output
    return FinishedRun(next(home.glob("outputs/train/*/*")), home, output)


@pytest.fixture(scope="module")
def offline(finished) -> OfflineRun:
    return OfflineRun.read(finished.folder)


def test_wandb_has_every_metric_of_every_epoch(finished, offline):
    names = set(finished.rows[0]) - {"step", "lr"}
    assert {"epoch", "perf/images_per_second", "train/loss", "val/ece", "val_emotion/recall/fear"} <= names
    for name in names - {"epoch"}:
        rows = [row for row in offline.history if name in row]
        np.testing.assert_allclose(
            [row[name] for row in rows], [float(row[name]) for row in finished.rows], rtol=1e-6, err_msg=name
        )
        for column, key in (("epoch", "epoch"), ("step", "trainer/global_step")):
            assert [row[key] for row in rows] == [int(row[column]) for row in finished.rows]
    assert {name for name in names if name.startswith("val/")} == set(OVERALL)


def test_wandb_has_the_training_metrics_of_steps(finished, offline):
    """There are two steps in an epoch, and one row for all of them: the default is at most an epoch."""
    rows = [row for row in offline.history if "train/loss_step" in row]
    assert [(row["epoch"], row["trainer/global_step"]) for row in rows] == [(1, 2), (2, 4), (3, 6)]
    for row, epoch in zip(rows, finished.rows, strict=True):
        assert row["train/loss_step"] == pytest.approx(float(epoch["train/loss"]), rel=1e-5)
        assert row["train/accuracy_step"] == pytest.approx(float(epoch["train/accuracy"]))
        assert row["perf/images_per_second_step"] > 0
        assert row["lr"] == pytest.approx(float(epoch["lr"]))


def test_wandb_summary_has_the_best_value_of_each_metric(finished, offline):
    for name, best in (("val/macro_f1", max), ("val_emotion/recall/happy", max), ("val/loss", min)):
        expected = best(float(row[name]) for row in finished.rows)
        assert offline.summary[name] == {best.__name__: pytest.approx(expected)}
    assert offline.summary["epoch"] == 3
    assert offline.summary["best/epoch"] == finished.record["best"]["epoch"]


def test_wandb_config_has_what_the_options_leave_open(finished, offline):
    resolved = offline.config["resolved"]
    assert resolved["precision"] == finished.record["precision"]
    assert (resolved["device"], resolved["processes"]) == ("cpu", 1)
    assert resolved["commit"] == finished.record["commit"]
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert resolved["batch_size"] == config["datamodule"]["batch_size"]
    counts = [finished.record["manifest"]["splits"][role]["count"] for role in ("train", "val")]
    assert [resolved["train_images"], resolved["val_images"]] == counts
    assert resolved["parameters"] > 1000
    assert resolved["flops"] > resolved["parameters"]


def test_wandb_has_what_the_run_printed(finished, offline):
    assert "epoch 3/3  train/loss" in offline.output
    assert f"run      {finished.folder}" in offline.output


def test_wandb_has_augmented_faces_and_errors(finished, offline):
    (row,) = (row for row in offline.history if "samples/augmentation" in row)
    assert (row["epoch"], row["trainer/global_step"]) == (1, 0)
    tables = [row for row in offline.history if "samples/errors" in row]
    assert [row["epoch"] for row in tables] == [
        row["epoch"] for row in offline.history if "plots/scores" in row
    ]
    table = json.loads((offline.files / tables[-1]["samples/errors"]["path"]).read_text())
    assert table["columns"][:4] == ["image", "true", "predicted", "confidence"]
    assert len(table["data"]) == tables[-1]["samples/errors"]["nrows"] > 0
    assert all(true != predicted for _, true, predicted, *_ in table["data"])


def test_wandb_config_and_manifest(finished, offline):
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert {name: offline.config[name] for name in config} == config
    assert offline.config["manifest"] == finished.record["manifest"]


def test_wandb_summary_holds_the_best_epoch(finished, offline):
    best = {best_name(name): value for name, value in finished.record["best"].items()}
    assert {name: offline.summary[name] for name in best} == pytest.approx(best)


def test_wandb_tables(finished, offline):
    best = finished.record["best"]
    table = json.loads((offline.files / offline.values("plots/scores")[-1]["path"]).read_text())
    assert table["columns"] == ["emotion", "precision", "recall", "f1", "images"]
    for name, row in zip(EMOTIONS, table["data"], strict=True):
        scores = [best[f"val_emotion/{metric}/{name}"] for metric in ("precision", "recall", "f1")]
        assert row[0] == name
        assert row[1:4] == pytest.approx(scores, nan_ok=True)
    # supports of the 32 validation images
    assert [row[4] for row in table["data"]] == [5, 5, 5, 5, 4, 4, 4]
    key = next(name for row in offline.history for name in row if name.startswith("plots/confusion_chart"))
    chart = json.loads((offline.files / offline.values(key)[-1]["path"]).read_text())
    assert [row[:2] for row in chart["data"]] == [[true, pred] for true in EMOTIONS for pred in EMOTIONS]
    correct = sum(count for true, predicted, count in chart["data"] if true == predicted)
    assert correct / 32 == pytest.approx(best["val/accuracy"])


def test_wandb_has_an_image_of_every_best_epoch_and_of_the_curves(finished, offline):
    scores = [float(row["val/macro_f1"]) for row in finished.rows]
    num_best = sum(value > max(scores[:i], default=-1) for i, value in enumerate(scores))
    images = offline.values("plots/confusion_matrix")
    bars, curves = offline.values("plots/per_emotion"), offline.values("plots/learning_curves")
    assert len(images) == len(bars) == len(offline.values("plots/scores")) == num_best
    for entry in [*images, *bars, *curves, *offline.values("samples/augmentation")]:
        with Image.open(offline.files / entry["path"]) as image:
            assert image.size == (entry["width"], entry["height"])
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
    assert len(curves) == 1


def test_images_have_the_step_and_epoch_of_their_metrics(finished, offline):
    steps = {int(row["epoch"]): int(row["step"]) for row in finished.rows}
    rows = [row for row in offline.history if {"plots/confusion_matrix", "plots/per_emotion"} & row.keys()]
    assert rows
    assert all(steps[row["epoch"]] == row["trainer/global_step"] for row in rows)
    assert all(f"Epoch {row['epoch']}," in next(
        value["caption"] for name, value in row.items() if name.startswith("plots/")
    ) for row in rows)  # fmt: skip


def test_wandb_artifact_is_the_best_checkpoint(finished, offline):
    artifact = offline.artifacts["model"]
    (entry,) = artifact.manifest.contents
    content = (finished.folder / "checkpoints" / "best.ckpt").read_bytes()
    assert (entry.path, entry.size) == ("best.ckpt", len(content))
    assert entry.digest == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert "best" in artifact.aliases
    metadata = json.loads(artifact.metadata)
    assert metadata["best"] == pytest.approx(finished.record["best"])
    assert metadata["manifest"] == finished.record["manifest"]


def test_wandb_prints_one_line_and_writes_only_in_the_run_folder(finished, offline):
    assert offline.exit_code == 0
    lines = [line for line in finished.output.splitlines() if "wandb" in line]
    assert lines == [f"wandb    offline; upload with: wandb sync {offline.files.parent}"]
    assert not list(finished.home.glob(".local/share/**/*"))


def test_tensorboard(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.folder / "tensorboard")).Reload()
    for name in set(finished.rows[0]) - {"epoch", "step", "lr"}:
        found = {event.step: event.value for event in events.Scalars(name)}
        assert list(found) == [int(row["step"]) for row in finished.rows]
        np.testing.assert_allclose(
            [*found.values()], [float(row[name]) for row in finished.rows], rtol=1e-6, err_msg=name
        )
    assert {(event.step, event.value) for event in events.Scalars("epoch")} == {(2, 1), (4, 2), (6, 3)}
    assert [event.step for event in events.Scalars("train/loss_step")] == [2, 4, 6]
    plots = {f"plots/{name}" for name in ("confusion_matrix", "per_emotion", "learning_curves")}
    assert plots | {"samples/augmentation", "samples/errors"} == set(events.Tags()["images"])
    assert [(image.step, image.width > 500) for image in events.Images("plots/learning_curves")] == [
        (6, True)
    ]


def start_in_pipe(folder: Path, environment: dict[str, str]) -> str:
    """Start and finish a W&B run in a process whose standard input is closed; return its output."""
    closed = ["sh", "-c", 'exec "$0" "$@" <&-', sys.executable, "-c", START, str(folder)]
    return subprocess.run(
        closed, env=environment, timeout=TIMEOUT, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ).stdout  # fmt: skip


def start_in_terminal(folder: Path, environment: dict[str, str]) -> str:
    """Do the same in a terminal, where W&B would prompt."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", START, str(folder)]
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        try:
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
        output = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    return output


@pytest.mark.parametrize("start", [start_in_pipe, start_in_terminal])
def test_no_prompt_without_a_login(tmp_path, start):
    output = start(tmp_path, clean_environment(tmp_path))
    assert len(output.splitlines()) == 1
    assert "offline; upload with: wandb sync" in output
    assert OfflineRun.read(tmp_path).config["seed"] == 1


def test_server_does_not_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        account = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": address}
        output = start_in_pipe(tmp_path, clean_environment(tmp_path) | account)
    first, last = output.splitlines()
    assert first.startswith("W&B: login failed, logging offline.")
    assert "wandb sync" in last
    assert OfflineRun.read(tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("mode", "logged_in", "expected"),
    [("online", True, "online"), ("online", False, "offline"), ("offline", True, "offline"),
     ("disabled", True, "disabled")],
)  # fmt: skip
def test_mode(tmp_path, monkeypatch, mode, logged_in, expected):
    modes = []
    settings = wandb.Settings(mode=mode)
    monkeypatch.setattr(wandb, "setup", lambda settings_: SimpleNamespace(settings=settings))
    monkeypatch.setattr(wandb, "login", lambda prompt, verify: logged_in and not prompt)
    monkeypatch.setattr(
        loggers, "_init_wandb", lambda *arguments: modes.append(arguments[-1]) or SimpleNamespace(url="")
    )
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    loggers.start_wandb(WandbConfig(), tmp_path, {}, None)
    assert modes == [expected]


def read_when_finished(folder):
    """Read the file when W&B's process has written its last record."""
    for _ in range(100):
        try:
            return OfflineRun.read(folder)
        except StopIteration:
            time.sleep(0.1)
    raise AssertionError("W&B did not write the exit record")


def test_failed_run_is_marked(fer_train, fer2013_csv, monkeypatch):
    from fer.training.module import EmotionModule

    step = EmotionModule.training_step
    monkeypatch.setattr(
        EmotionModule, "training_step",
        lambda self, batch, i: step(self, batch, i) * (float("nan") if self.current_epoch == 1 else 1.0),
    )  # fmt: skip
    overrides = [
        "datamodule=fer2013",
        f"datamodule.path={fer2013_csv}",
        "trainer.max_epochs=2",
        "logger=wandb",
    ]
    run = fer_train(*TINY, *overrides)
    assert run.status == 2
    failed = read_when_finished(run.folder)
    assert failed.exit_code == 1
    assert "model" not in failed.artifacts
    assert len(failed.values("plots/confusion_matrix")) == 1


@pytest.mark.parametrize("overrides", [["logger=csv"], ["logger=all", "trainer.fast_dev_run=true"]])
def test_no_logger(fer_train, fer2013_csv, overrides):
    run = fer_train(*TINY, "datamodule=fer2013", f"datamodule.path={fer2013_csv}", *overrides)
    assert run.status == 0
    assert not {"wandb", "tensorboard"} & {path.name for path in run.folder.iterdir()}


def run_record(folder: Path) -> Any:
    """Return the record of an offline W&B run with its names, group, tags and notes."""
    return next(record.run for record in read_wandb(folder) if record.HasField("run"))


TRAIN = [*TINY, *TINY_FACES, "model=fast_cnn_inner"]


def train(home: Path, *overrides: str, **variables: str) -> tuple[int | None, str, str]:
    """Return status, standard output and standard error of a training."""
    environment = clean_environment(home) | {"WANDB_MODE": "offline", **variables}
    process = ForkedTrain(*TRAIN, f"hydra.run.dir={home}/run", *overrides, environment=environment)
    output = process.communicate(TIMEOUT)
    return process.returncode, *output


def test_variables_of_wandb_apply_without_an_option(tmp_path):
    variables = {
        "PROJECT": "faces", "ENTITY": "team", "RUN_ID": "my-id", "RUN_GROUP": "group", "NAME": "a name, é",
        "TAGS": "first,second", "NOTES": "some notes", "JOB_TYPE": "training", "DIR": str(tmp_path / "here"),
    }  # fmt: skip
    (tmp_path / "here").mkdir()
    environment = {f"WANDB_{name}": text for name, text in variables.items()}
    status, _, error = train(tmp_path, "logger=wandb", "logger.wandb.group=chosen", **environment)
    assert status == 0, error
    run = run_record(tmp_path / "here")
    assert (run.project, run.entity, run.run_id, run.run_group) == ("faces", "team", "my-id", "chosen")
    assert (run.display_name, run.notes, run.job_type) == ("a name, é", "some notes", "training")
    assert list(run.tags) == ["first", "second"]
    artifact = OfflineRun.read(tmp_path / "here").artifacts["model"]
    assert artifact.name.startswith("a-name-e-best-")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["wandb"] == {"id": "my-id", "project": "faces", "entity": "team"}


def test_an_id_of_the_environment_is_that_of_one_run(tmp_path):
    settings = wandb.Settings(run_id="mine")
    ids = [
        loggers._arguments(WandbConfig(), tmp_path / name, settings, run_id)["id"]
        for name, run_id in (("a", "1"), ("b", "2"), ("a", "1"))
    ]
    assert ids == ["mine", "2", "mine"]


def test_defaults_of_a_run_in_wandb(finished):
    run = run_record(finished.folder)
    assert (run.project, run.run_group, list(run.tags)) == ("fer", "", [])
    assert run.display_name == yaml.safe_load((finished.folder / "config.yaml").read_text())["name"]
    assert run.run_id == finished.record["id"] == finished.record["wandb"]["id"]


@pytest.mark.parametrize(
    ("overrides", "variables", "message"),
    [
        (
            ["logger=wandb", "logger.wandb.project=a/b"],
            {},
            "logger.wandb.project: expected 1 to 128",
        ),
        (
            ["logger=wandb", "logger.wandb.tags=['']"],
            {},
            "logger.wandb.tags: expected tags of 1 to",
        ),
        (["logger=wandb"], {"WANDB_PROJECT": "a/b"}, "logger.wandb: expected W&B to start a run"),
        (["logger=wandb"], {"WANDB_RUN_ID": "a/b"}, "logger.wandb: expected W&B to start a run"),
    ],
)
def test_what_wandb_refuses_is_reported_before_the_training(tmp_path, overrides, variables, message):
    status, output, error = train(tmp_path, *overrides, **variables)
    assert status == 2
    assert message in error
    assert "Traceback" not in error
    assert "epoch" not in output
    assert not (tmp_path / "run" / "checkpoints").exists()
