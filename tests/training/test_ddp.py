"""DDP with two gloo processes: one model, evaluated once on each validation image."""

import json

import numpy as np
import pytest
import torch
from forked import ForkedTrain

import fer
from fer.data.augment import to_float
from fer.data.readers.factory import read_dataset
from fer.models.checkpoint import load_checkpoint

OPTIONS = (
    "datamodule.num_train=700", "datamodule.num_val=251", "datamodule.num_test=8", "datamodule.size=32",
    "model=fast_cnn", "model.image_size=32", "model.kwargs.widths=[16,32]", "model.kwargs.depths=[0,0]",
    "trainer.max_epochs=8", "optimizer.lr=3e-3", "trainer.accelerator=cpu", "model.dropout=0",
    # so that the test can recompute the metrics
    "trainer.precision=32-true",
)  # fmt: skip
TWO_PROCESSES = ("trainer.devices=2", "trainer.strategy=ddp", "datamodule.batch_size=16", "logger=all")


def train(output, *overrides):
    process = ForkedTrain(f"output_dir={output}", *OPTIONS, *overrides)
    printed, errors = process.communicate(timeout=280)
    assert process.returncode == 0, printed + errors
    (folder,) = output.glob("train/*/*")
    return folder, printed


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    output = tmp_path_factory.mktemp("one")
    one = fer.train(f"output_dir={output}", *OPTIONS, "datamodule.batch_size=32", quiet=True)
    return (one.folder, ""), train(tmp_path_factory.mktemp("two"), *TWO_PROCESSES)


def record(run):
    return json.loads((run[0] / "run.json").read_text())


@pytest.mark.slow
def test_two_processes_agree_with_one_within_noise(runs):
    one, two = (record(run)["best"]["val/accuracy"] for run in runs)
    n = record(runs[0])["validation_images"]
    assert one > 0.4
    # three standard errors of the difference
    assert abs(one - two) < 3 * np.sqrt(2 * one * (1 - one) / n)
    assert record(runs[1])["processes"] == 2


@pytest.mark.slow
def test_metrics_are_those_of_the_complete_validation_split(runs):
    folder, best = runs[1][0], record(runs[1])["best"]
    checkpoint = load_checkpoint(folder / "checkpoints" / "best.ckpt")
    data = read_dataset(checkpoint.config["datamodule"])
    rows = np.flatnonzero(data.split == data.split_names.index(data.roles["val"]))
    images = torch.from_numpy(data.images[rows].copy()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = checkpoint.model(to_float(images, 32))
    target = torch.from_numpy(data.targets[rows])
    assert record(runs[1])["validation_images"] == len(rows) == 251
    assert best["val/accuracy"] == pytest.approx((logits.argmax(1) == target).float().mean().item())
    assert best["val/loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, target).item(), rel=1e-4
    )


@pytest.mark.slow
def test_only_the_first_process_writes_and_prints(runs):
    folder, output = runs[1]
    assert output.count("fast_cnn, ") == 1
    assert output.count("Best epoch") == 1
    assert output.count("epoch 8/8") == 1
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1
    process_ids = {path.name.split(".")[-2] for path in (folder / "tensorboard").rglob("events.*")}
    assert len(process_ids) == 1
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_more_processes_than_cores_is_an_error(tiny_run, capsys):
    assert tiny_run("trainer.devices=4096", "trainer.accelerator=cpu").status == 2
    assert "trainer.devices: expected at most" in capsys.readouterr().err
