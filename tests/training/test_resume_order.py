"""A run that goes on sees what it would have seen: of a set on disk too, and with a count of steps."""

import csv

import pytest
import torch
from picture_layouts import write_folder
from pytorch_lightning.callbacks import Callback

from fer.training.callbacks import SeedEpoch

NET = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "model.image_size=32")
FACES = (
    "datamodule.num_train=48",
    "datamodule.num_val=16",
    "datamodule.num_test=8",
    "datamodule.batch_size=8",
)
LAST = "checkpoints/last.ckpt"


class Interruption(Callback):
    """Ctrl-C in the middle of the third epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (2, 1):
            raise KeyboardInterrupt


def rows(folder):
    kept = ("epoch", "train/loss", "val/loss", "val/accuracy", "lr")
    with (folder / "metrics.csv").open() as file:
        return [{key: row[key] for key in kept} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "words",
    [
        ("datamodule=folder", "datamodule.memory_gb=0", "datamodule.workers=2", "datamodule.batch_size=4",
         "augmentation=strong", "trainer.max_epochs=4"),
        (*FACES, "trainer.max_steps=22", "early_stopping_patience=9"),
        (*FACES, "trainer.max_steps=22", "trainer.check_val_every_n_epoch=2", "scheduler=onecycle"),
    ],
    ids=["workers", "steps", "steps and rare validation"],
)  # fmt: skip
def test_a_run_that_goes_on_ends_with_the_very_same_weights(words, fer_train, tmp_path, monkeypatch):
    if "datamodule=folder" in words:
        words = (*words, f"datamodule.path={write_folder(tmp_path / 'set')}")
    whole = fer_train(*NET, *words)
    with monkeypatch.context() as patched:
        patched.setattr(SeedEpoch, "on_train_batch_end", Interruption.on_train_batch_end)
        stopped = fer_train(*NET, *words)
    assert (whole.status, stopped.status) == (0, 130)
    assert fer_train(f"resume={stopped.folder}").status == 0
    assert rows(stopped.folder) == rows(whole.folder)
    one, two = (torch.load(run.folder / LAST, weights_only=True)["state_dict"] for run in (whole, stopped))
    assert [name for name, value in one.items() if not torch.equal(value, two[name])] == []


def test_weights_that_were_a_start_are_not_asked_for_again(fer_train, tmp_path, monkeypatch):
    import safetensors.torch
    import timm

    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), file)
    words = ("model=timm", "model.name=test_resnet", "model.image_size=32", f"model.pretrained={file}")
    with monkeypatch.context() as patched:
        patched.setattr(SeedEpoch, "on_train_batch_end", Interruption.on_train_batch_end)
        stopped = fer_train(*words, *FACES, "trainer.max_epochs=3")
    file.unlink()
    assert fer_train(f"resume={stopped.folder}").status == 0
    about = torch.load(stopped.folder / LAST, weights_only=True)["hyper_parameters"]
    assert about["config"]["model"]["pretrained"] == str(file)
