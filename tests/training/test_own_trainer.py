"""EmotionModule and EmotionDataModule with one's own Trainer of Lightning, and with one's own loaders."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BatchSizeFinder
from pytorch_lightning.tuner import Tuner
from torch.utils.data import DataLoader

import fer
from fer.core.labels import FER7
from fer.data.dataset import EmotionData

MODEL = {"name": "fast_cnn", "image_size": 32, "kwargs": {"widths": [8, 16], "depths": [0, 0]}}


@pytest.fixture
def dm():
    rng = np.random.default_rng(0)
    split = np.repeat(np.arange(3, dtype=np.uint8), (100, 22, 21))
    targets = rng.integers(0, 7, len(split))
    # The label is the brightness, so that there is something to learn.
    images = rng.integers(0, 20, (len(split), 32, 32, 1)) + 33 * targets[:, None, None, None]
    names = ("a", "b", "c")
    roles = dict(zip(("train", "val", "test"), names, strict=True))
    data = EmotionData(images.astype(np.uint8), targets, split, names, roles, FER7, "bright")
    return fer.EmotionDataModule(data, 32, batch_size=16, eval_batch_size=8)


@pytest.fixture
def module():
    return fer.EmotionModule(MODEL, labels=FER7, lr=3e-3)


@pytest.fixture
def make_trainer(tmp_path):
    options = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lambda **own: pl.Trainer(**{"max_epochs": 1, "default_root_dir": tmp_path, **options, **own})


def test_fit_logs_training_and_validation_metrics(dm, module, make_trainer):
    trainer = make_trainer(max_epochs=2)
    trainer.fit(module, datamodule=dm)
    expected = {
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "val/macro_f1",
        "val/uar",
        "val/ece",
    }
    assert expected <= trainer.callback_metrics.keys()
    assert 1.0 < trainer.callback_metrics["train/loss"] < 2.5


def test_validate_without_fit(dm, module, make_trainer):
    (metrics,) = make_trainer().validate(module, dm, verbose=False)
    (again,) = make_trainer(limit_val_batches=1.0).validate(module, dm, verbose=False)
    assert 0 <= metrics["val/accuracy"] <= 1
    assert again == metrics
    assert module.confusion.sum() == 22


def test_fit_after_validation_and_prediction(dm, module, make_trainer):
    """These run in inference mode, whose tensors cannot be changed or differentiated later."""
    dm.predict_split = "train"
    trainer = make_trainer()
    trainer.validate(module, dm, verbose=False)
    trainer.predict(module, dm)
    trainer.fit(module, datamodule=dm)
    trainer.validate(module, dm, verbose=False)
    again = make_trainer()
    again.fit(module, datamodule=dm)
    assert again.callback_metrics["val/loss"] > 0


def test_predict_returns_probabilities_of_the_chosen_split(dm, module, make_trainer):
    probs = torch.cat(make_trainer().predict(module, dm))
    assert probs.shape == (22, 7)
    torch.testing.assert_close(probs.sum(1), torch.ones(22))
    with torch.inference_mode():
        images = next(iter(dm.val_dataloader()))["image"]
        torch.testing.assert_close(module.eval()(images).softmax(1), probs[:8])
    dm.predict_split = "test"
    assert len(torch.cat(make_trainer().predict(module, dm))) == 21


def test_test_split_needs_a_ledger(dm, module, make_trainer):
    with pytest.raises(fer.FerError, match=r"trainer\.test: expected the callback fer\.TestLedger\(\)"):
        make_trainer().test(module, dm, verbose=False)


@pytest.mark.parametrize("folder", [None, "mine"])
def test_test_is_recorded_in_the_ledger(folder, dm, module, make_trainer, tmp_path, capsys):
    ledger = fer.TestLedger(folder and tmp_path / folder)
    trainer = make_trainer(callbacks=[ledger])
    trainer.fit(module, datamodule=dm)
    for earlier in range(2):
        (metrics,) = trainer.test(module, dm, verbose=False)
        assert f"earlier scores of this recipe on these images: {earlier}" in capsys.readouterr().out
    path = tmp_path / (folder or "lightning_logs") / "test_ledger.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(entries) == 2
    assert entries[0]["result"]["accuracy"]["value"] == pytest.approx(metrics["test/accuracy"])
    assert entries[0]["result"]["accuracy"]["n"] == 21
    assert entries[0]["role"] == "test"
    assert entries[0]["model_sha256"] == entries[1]["model_sha256"]


def test_labels_of_the_test_split_stay_hidden_from_training(dm, module, make_trainer):
    trainer = make_trainer(callbacks=[fer.TestLedger()])
    trainer.test(module, dm, verbose=False)
    assert (dm.split_tensors("test", torch.device("cpu"))["target"] == -1).all()
    assert (dm.data.targets[dm.rows["test"]] == -1).all()


def test_lr_find_sets_the_learning_rate_of_module_and_checkpoint(dm, module, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=6)
    finder = Tuner(trainer).lr_find(module, dm, num_training=30, early_stop_threshold=None)
    assert len(finder.results["lr"]) == 30
    assert module.lr == module.config.optimizer.lr == finder.suggestion() != 3e-3
    trainer.fit(module, datamodule=dm)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    config = fer.load_checkpoint(tmp_path / "own.ckpt").config
    assert config["optimizer"]["lr"] == pytest.approx(module.lr)
    assert trainer.callback_metrics["val/loss"] > 0


@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_scale_batch_size_finds_the_largest_of_the_data(mode, dm, module, make_trainer):
    options = {"init_val": 4, "steps_per_trial": 1, "margin": 0.0}
    assert Tuner(make_trainer()).scale_batch_size(module, dm, mode=mode, **options) == 100
    assert dm.batch_size == len(dm.rows["train"]) == 100


def test_a_found_batch_size_is_stored(module, make_trainer):
    faces = {"num_train": 64, "num_val": 7, "num_test": 7, "size": 32, "batch_size": 16}
    dm = fer.EmotionDataModule("synthetic", 32, **faces)
    finder = BatchSizeFinder(init_val=4, max_trials=2, steps_per_trial=1)
    make_trainer(callbacks=[finder]).fit(module, datamodule=dm)
    assert dm.batch_size == module.hparams["config"]["datamodule"]["batch_size"] == 8


@pytest.mark.parametrize("oversample", [False, True])
def test_a_loader_yields_complete_batches_without_a_trainer(oversample, dm):
    dm.oversample = oversample
    loader = dm.train_dataloader()
    epochs = [list(loader) for _ in range(2)]
    assert len(loader) == len(epochs[0]) == 6
    for batch in epochs[0]:
        assert batch["image"].shape == (16, 1, 32, 32)
        assert batch["image"].dtype == torch.float32
        assert batch["target"].dtype == batch["index"].dtype == torch.int64
        np.testing.assert_array_equal(batch["target"], dm.data.targets[batch["index"]])
    orders = [torch.cat([batch["index"] for batch in epoch]) for epoch in epochs]
    assert not torch.equal(*orders)


def test_its_loaders_can_be_given_to_a_trainer(dm, module, make_trainer):
    trainer = make_trainer()
    trainer.fit(module, dm.train_dataloader(), dm.val_dataloader())
    assert trainer.callback_metrics["train/loss"] > 0
    (metrics,) = trainer.validate(module, dm.val_dataloader(), verbose=False)
    assert metrics == trainer.validate(module, datamodule=dm, verbose=False)[0]


@pytest.mark.parametrize("kind", ["dict", "pair", "uint8", "distribution"])
def test_own_loaders(kind, module, make_trainer):
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(32, 1, 32, 32, generator=rng)
    targets = torch.arange(32) % 7
    if kind == "uint8":
        images = (images * 255).to(torch.uint8)
    if kind == "distribution":
        targets = torch.nn.functional.one_hot(targets, 7).float()
    pairs = [
        {"image": image, "target": target} if kind == "dict" else (image, target)
        for image, target in zip(images, targets, strict=True)
    ]
    loader, trainer = DataLoader(pairs, batch_size=8), make_trainer()
    trainer.fit(module, loader, loader)
    (metrics,) = trainer.test(module, loader, verbose=False)
    assert metrics["test/loss"] == pytest.approx(trainer.callback_metrics["test/loss"].item())
    assert torch.cat(trainer.predict(module, DataLoader(images, batch_size=8))).shape == (32, 7)


def test_a_batch_of_another_form_is_named(module, make_trainer):
    loader = DataLoader([{"x": torch.rand(1, 32, 32), "y": 0}] * 8, batch_size=4)
    with pytest.raises(fer.FerError, match=r"A batch of the loader: expected .* got the keys x, y"):
        make_trainer().fit(module, loader)


def test_data_of_other_labels_is_refused_before_scoring(dm, make_trainer):
    module = fer.EmotionModule(MODEL, labels={"name": "two", "names": ["happy", "sad"]})
    with pytest.raises(fer.FerError, match=r"labels: expected \('angry'"):
        make_trainer().validate(module, dm, verbose=False)


@pytest.mark.parametrize("batches", [2, 0.5, 1.0])
def test_overfit_batches(batches, dm, module, make_trainer):
    trainer = make_trainer(overfit_batches=batches, max_epochs=2)
    trainer.fit(module, datamodule=dm)
    assert trainer.num_training_batches == {2: 2, 0.5: 3, 1.0: 7}[batches]


def test_a_loaded_checkpoint_remembers_what_it_was_trained_on(dm, module, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(module, datamodule=dm)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    loaded = fer.EmotionModule.load_from_checkpoint(tmp_path / "first.ckpt", weights_only=True)
    other = fer.EmotionDataModule(
        "synthetic", 32, num_train=32, num_val=7, num_test=7, size=32, batch_size=16
    )
    trainer = make_trainer()
    trainer.fit(loaded, datamodule=other)
    trainer.save_checkpoint(tmp_path / "second.ckpt")
    second = fer.load_checkpoint(tmp_path / "second.ckpt")
    assert second.manifest == other.manifest
    assert second.config["datamodule"]["name"] == "synthetic"
    assert second.init_from["manifest"] == dm.manifest
    assert second.init_from["init_from"] is None
    assert second.sketches["splits"] == other.sketches


def test_a_resumed_fit_is_no_new_training(dm, module, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(module, datamodule=dm)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    again = fer.EmotionModule(MODEL, labels=FER7)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(again, datamodule=dm, ckpt_path=tmp_path / "first.ckpt", weights_only=True)
    assert trainer.current_epoch == 2
    assert again.hparams.get("init_from") is None
