"""A resumed run gives the same weights: with file-backed data, with max_steps, and in float64."""

import csv

import pytest
import torch
from image_layouts import write_folder
from pytorch_lightning.callbacks import Callback

from fer.training.callbacks import SeedEpoch

MODEL = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "model.image_size=32")
DATA = (
    "datamodule.num_train=48",
    "datamodule.num_val=16",
    "datamodule.num_test=8",
    "datamodule.batch_size=8",
)
LAST = "checkpoints/last.ckpt"


class Interruption(Callback):
    """Raise KeyboardInterrupt in the middle of the third epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (2, 1):
            raise KeyboardInterrupt


def rows(folder):
    columns = ("epoch", "train/loss", "val/loss", "val/accuracy", "lr")
    with (folder / "metrics.csv").open() as file:
        return [{key: row[key] for key in columns} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("datamodule=folder", "datamodule.memory_gb=0", "datamodule.workers=2", "datamodule.batch_size=4",
         "augmentation=strong", "trainer.max_epochs=4"),
        (*DATA, "trainer.max_steps=22", "early_stopping_patience=9"),
        (*DATA, "trainer.max_steps=22", "trainer.check_val_every_n_epoch=2", "scheduler=onecycle"),
        (*DATA, "trainer.max_epochs=4", "trainer.precision=64-true"),
        (*DATA, "trainer.max_epochs=4", "trainer.precision=64-true", "ema=true", "optimizer=muon",
         "progressive=[[0,24],[0.5,32]]"),
    ],
    ids=["workers", "steps", "steps and validation every 2 epochs", "float64", "average in float64"],
)  # fmt: skip
def test_resumed_run_has_the_same_weights(overrides, fer_train, tmp_path, monkeypatch):
    if "datamodule=folder" in overrides:
        overrides = (*overrides, f"datamodule.path={write_folder(tmp_path / 'set')}")
    full = fer_train(*MODEL, *overrides)
    with monkeypatch.context() as patched:
        patched.setattr(SeedEpoch, "on_train_batch_end", Interruption.on_train_batch_end)
        stopped = fer_train(*MODEL, *overrides)
    assert (full.status, stopped.status) == (0, 130)
    assert fer_train(f"resume={stopped.folder}").status == 0
    assert rows(stopped.folder) == rows(full.folder)
    one, two = (torch.load(run.folder / LAST, weights_only=True)["state_dict"] for run in (full, stopped))
    assert [name for name, value in one.items() if not torch.equal(value, two[name])] == []


def test_resumed_run_does_not_need_its_pretrained_file(fer_train, tmp_path, monkeypatch):
    import safetensors.torch
    import timm

    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), file)
    overrides = ("model=timm", "model.name=test_resnet", "model.image_size=32", f"model.pretrained={file}")
    with monkeypatch.context() as patched:
        patched.setattr(SeedEpoch, "on_train_batch_end", Interruption.on_train_batch_end)
        stopped = fer_train(*overrides, *DATA, "trainer.max_epochs=3")
    file.unlink()
    assert fer_train(f"resume={stopped.folder}").status == 0
    hyper_parameters = torch.load(stopped.folder / LAST, weights_only=True)["hyper_parameters"]
    assert hyper_parameters["config"]["model"]["pretrained"] == str(file)
