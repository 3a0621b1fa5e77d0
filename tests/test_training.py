"""Runs through fer-train's own `main`: every config, and what a run leaves."""

import csv

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fer.checkpoint import load_checkpoint
from fer.data.augment import to_float
from fer.data.sources import read
from fer.errors import FerError
from fer.options import choices, groups

LAST = "checkpoints/last.ckpt"
SMALL = {"resnet50": ["model.image_size=32"], "efficientnet_b0": ["model.image_size=32"]}


def words_for(group, choice, csv_path):
    """Return the command-line words that run one config file on a few images."""
    words = [f"{group}={choice}", *SMALL.get(choice, [])]
    if (group, choice) == ("datamodule", "fer2013") or group == "experiment":
        words += [f"datamodule.path={csv_path}"]
    if choice == "timm":
        words += [f"{group}.name={'test_resnet' if group == 'model' else 'nadamw'}"]
    return words


CONFIGS = [(group, choice) for group in groups() if group != "logger" for choice in choices(group)]


@pytest.mark.parametrize(("group", "choice"), CONFIGS, ids=lambda name: name)
def test_every_config_trains_a_batch(group, choice, tiny_run, fer_train, fer2013_csv):
    from conftest import TINY

    words = words_for(group, choice, fer2013_csv)
    run = fer_train(*TINY, *words) if "datamodule.path" in words[-1] else tiny_run(*words)
    assert run.status == 0
    assert 0.0 <= run.record["best"]["val/accuracy"] <= 1.0
    assert run.record["status"] == "finished"


def test_run_folder(tiny_run):
    run = tiny_run("trainer.max_epochs=2")
    left = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    pictures = {
        f"plots/{name}.png" for name in ("augmentation", "confusion_matrix", "learning_curves", "per_emotion")
    }
    assert (
        left
        == {"config.yaml", "run.json", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
        | pictures
    )
    assert all(Image.open(run.folder / name).size[0] > 500 for name in pictures)
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


def test_metrics_file_has_a_row_per_epoch(tiny_run):
    run = tiny_run("trainer.max_epochs=3")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    expected = {
        "train/loss",
        "val/loss",
        "val/accuracy",
        "val/macro_f1",
        "val/uar",
        "val/ece",
        "val/f1/happy",
        "lr",
    }
    assert expected | {"perf/images_per_second"} <= rows[0].keys()
    assert max(float(row["val/accuracy"]) for row in rows) == run.record["best"]["val/accuracy"]


def test_record_says_what_was_run(tiny_run):
    record = tiny_run("seed=3").record
    assert record["seed"] == 3
    assert (
        record["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in record["versions"]["torch"]
    )
    assert record["manifest"]["splits"]["train"]["count"] == 64
    assert "class_counts" not in record["manifest"]["splits"]["test"]


def test_checkpoint_rebuilds_its_model_alone(tiny_run, monkeypatch):
    run = tiny_run("model=resnet18", "attention=spatial", "trainer.limit_val_batches=1.0")
    path = run.folder / "checkpoints" / "best.ckpt"
    torch.load(path, weights_only=True)
    loaded = load_checkpoint(path)
    data = read({**loaded.config["datamodule"]})
    rows = data.split == data.split_names.index("val")
    images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        preds = loaded.model(to_float(images, loaded.config["model"]["image_size"])).argmax(1).numpy()
    assert np.mean(preds == data.targets[rows]) == pytest.approx(run.record["best"]["val/accuracy"])
    assert loaded.labels.names == data.labels.names


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"not a checkpoint at all"])
def test_foreign_checkpoint(tmp_path, content):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(FerError, match=r"x\.ckpt"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_checkpoint_with_code_in_it_is_refused(tmp_path):
    torch.save({"hyper_parameters": print}, tmp_path / "x.ckpt")
    with pytest.raises(FerError, match="cannot be loaded as plain tensors"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_same_seed_same_weights(tiny_run):
    first, second, other = (
        load_checkpoint(tiny_run(f"seed={seed}", "augmentation=strong").folder / LAST) for seed in (0, 0, 1)
    )
    pairs = list(zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.model.parameters()), next(other.model.parameters()))


def test_overfits_one_batch(fer_train):
    words = ("datamodule.num_train=32", "datamodule.num_val=32", "datamodule.num_test=8", "augmentation=none")
    run = fer_train(*words, "model=fast_cnn", "model.dropout=0", "trainer.max_epochs=40", "optimizer.lr=3e-3")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert float(rows[-1]["train/accuracy"]) == 1.0
    assert float(rows[-1]["train/loss"]) < 0.05


def test_nan_loss_stops_and_keeps_the_last_good_checkpoint(tiny_run, capsys, monkeypatch):
    from fer.module import EmotionModule

    step = EmotionModule.training_step
    monkeypatch.setattr(
        EmotionModule, "training_step",
        lambda self, batch, i: step(self, batch, i) * (float("nan") if self.current_epoch == 1 else 1.0),
    )  # fmt: skip
    run = tiny_run("trainer.max_epochs=3")
    assert run.status == 2
    assert "NaN or infinite at step 3 (epoch 2)" in capsys.readouterr().err
    assert run.record["status"] == "failed"
    assert load_checkpoint(run.folder / "checkpoints" / "last.ckpt").epoch == 1


def test_batch_larger_than_the_split(tiny_run, capsys):
    assert tiny_run("datamodule.batch_size=65").status == 2
    assert "batch_size=65 is larger than the training split (64 images)" in capsys.readouterr().err


def test_early_stopping(tiny_run):
    run = tiny_run(
        "trainer.max_epochs=9", "early_stopping_patience=1", "optimizer.lr=0", "scheduler=constant"
    )
    assert run.record["epochs"] == 2


def test_ema_is_what_is_validated_and_saved(tiny_run):
    run = tiny_run("ema_decay=0.5", "trainer.max_epochs=2", "trainer.limit_val_batches=1.0")
    content = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    averaged, current = content["state_dict"], content["current_model_state"]
    assert any(not torch.equal(averaged[name], current[name]) for name in averaged)


def test_progressive_sizes(tiny_run, monkeypatch):
    from fer.data.datamodule import EmotionDataModule

    seen = []
    size = EmotionDataModule.train_size
    monkeypatch.setattr(EmotionDataModule, "train_size", lambda self: seen.append(size(self)) or seen[-1])
    run = tiny_run("progressive=[[0,24],[0.5,32]]", "trainer.max_epochs=4")
    assert run.status == 0
    assert seen == [24, 24, 24, 24, 32, 32, 32, 32]


def test_trainer_options_pass_through(tiny_run):
    run = tiny_run(
        "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2", "trainer.gradient_clip_val=0.5"
    )
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert rows[-1]["step"] == "2"
    assert tiny_run("trainer.fast_dev_run=true").status == 0


def test_every_trainer_argument_is_an_option():
    import inspect

    import pytorch_lightning as pl

    from fer.options import CONFIG_DIR

    ours = yaml.safe_load((CONFIG_DIR / "trainer" / "default.yaml").read_text()).keys()
    built = {
        "self",
        "logger",
        "callbacks",
        "default_root_dir",
        "plugins",
        "model_registry",
        "enable_autolog_hparams",
    }
    assert set(inspect.signature(pl.Trainer.__init__).parameters) - built == set(ours)
