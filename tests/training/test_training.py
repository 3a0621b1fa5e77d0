"""Runs through the `main` of fer-train: every config file, and the files of a run."""

import copy
import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from image_layouts import LAYOUTS
from PIL import Image
from torch import nn

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.augment import to_float
from fer.data.readers.factory import read_dataset
from fer.models import timm_backbone
from fer.models.checkpoint import load_checkpoint
from fer.models.factory import build_model
from fer.training import precision
from fer.training.overrides import choices, groups
from fer.training.precision import choose_precision

BEST, LAST = "checkpoints/best.ckpt", "checkpoints/last.ckpt"
SMALL = {
    "resnet50": ["model.image_size=32"],
    "efficientnet_b0": ["model.image_size=32"],
    "multi_node": ["trainer.num_nodes=1"],
    # Compiling takes half a minute, and has tests of its own.
    "fer2013_gpu_fast": ["compile=false"],
}


def overrides_for(group, choice, csv_path):
    """Return the overrides that run one config file on a few images."""
    overrides = [f"{group}={choice}", *SMALL.get(choice, [])]
    if (group, choice) == ("datamodule", "concat"):
        both = f"{{name: fer2013, path: {csv_path}}}, {{name: ferplus, path: {csv_path}}}"
        overrides += [f"datamodule.sources=[{both}]"]
    elif (group, choice) in [("datamodule", "fer2013"), ("datamodule", "ferplus")] or group == "experiment":
        overrides += [f"datamodule.path={csv_path}"]
    if group == "datamodule" and choice in LAYOUTS:
        overrides += [f"datamodule.path={LAYOUTS[choice](csv_path.with_name(choice))}"]
    # the votes are the targets
    if choice == "soft_targets":
        overrides += ["datamodule=ferplus", f"datamodule.path={csv_path}"]
    # votes and labels
    if choice == "expected_labels":
        overrides += ["datamodule=fer2013", "datamodule.votes=true", f"datamodule.path={csv_path}"]
    if choice in ("lr_monitor", "device_stats"):
        overrides += ["logger=tensorboard"]
    if choice == "timm":
        overrides += [f"{group}.name={'test_resnet' if group == 'model' else 'nadamw'}"]
    return overrides


# sweeps are tested in tests/sweep
CONFIGS = [
    pytest.param(group, choice, marks=pytest.mark.slow if group in ("model", "experiment") else ())
    for group in groups()
    if group != "sweep"
    for choice in choices(group)
]


@pytest.mark.parametrize(("group", "choice"), CONFIGS, ids=lambda name: name)
def test_every_config_trains_a_batch(group, choice, tiny_run, fer_train, monkeypatch, fer2013_csv):
    from tiny import TINY

    # no network: the weights stay random
    monkeypatch.setattr(timm_backbone, "download_weights", lambda *_: None)
    overrides = overrides_for(group, choice, fer2013_csv)
    run = fer_train(*TINY, *overrides) if overrides[-1].startswith("datamodule.") else tiny_run(*overrides)
    if (group, choice) == ("trainer", "gpu") and not torch.cuda.is_available():
        assert run.status == 2
        return
    assert run.status == 0
    assert 0.0 <= run.record["best"]["val/accuracy"] <= 1.0
    assert run.record["status"] == "finished"


@pytest.mark.parametrize(
    "overrides",
    [
        "experiment=fer2013_fast model=baseline_cnn",
        "experiment=fer2013_10min model=baseline_cnn loss=generalised_cross_entropy",
        "experiment=fer2013_10min datamodule=ferplus loss=soft_targets",
    ],
)
def test_experiment_with_another_model_or_loss(overrides, fer_train, fer2013_csv):
    from tiny import TINY

    assert fer_train(*TINY, *overrides.split(), f"datamodule.path={fer2013_csv}").status == 0


@pytest.mark.usefixtures("plots")
def test_run_folder(tiny_run):
    run = tiny_run("trainer.max_epochs=2")
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    plots = {
        f"plots/{name}.png" for name in ("augmentation", "confusion_matrix", "learning_curves", "per_emotion")
    }
    expected = {"config.yaml", "run.json", "metrics.csv", "duplicates.json", BEST, LAST}
    assert files == expected | plots
    assert all(Image.open(run.folder / name).size[0] > 500 for name in plots)
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


def test_metrics_file_has_a_row_per_epoch(tiny_run):
    run = tiny_run("trainer.max_epochs=3")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    val = {f"val/{name}" for name in ("loss", "accuracy", "macro_f1", "uar", "ece", "worst_f1")}
    assert (
        val | {"val_emotion/f1/happy", "train/loss", "train/accuracy", "lr", "perf/images_per_second"}
        <= rows[0].keys()
    )
    assert max(float(row["val/accuracy"]) for row in rows) == run.record["best"]["val/accuracy"]


@pytest.mark.parametrize(
    ("name", "is_faster", "expected"),
    [
        ("test_resnet", True, "bf16-mixed"),
        ("test_resnet", False, "32-true"),
        ("test_efficientnet", True, "32-true"),
    ],
)
def test_auto_precision_is_the_fast_one_on_a_cpu(name, is_faster, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "_is_bf16_faster", lambda: is_faster)
    model = build_model({"name": name}, 7, 1)
    assert choose_precision("auto", "cpu", model) == expected
    assert choose_precision("bf16-mixed", "cpu", model) == "bf16-mixed"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert choose_precision("auto", "cpu", model) == "32-true"


@pytest.mark.parametrize(("bf16", "fp32"), [(1, 2), (2, 1)])
def test_the_faster_precision_is_measured(bf16, fp32, monkeypatch):
    def time_convolution(images, weight):
        convolution(images, weight)
        return bf16 if images.dtype == torch.bfloat16 else fp32

    convolution = precision._time_convolution
    monkeypatch.setattr(precision, "_time_convolution", time_convolution)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert precision._is_bf16_faster.__wrapped__() == (bf16 < fp32)
    # Neither seeded random numbers nor the number of threads change.
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_record(tiny_run):
    record = tiny_run("seed=3").record
    assert record["seed"] == 3
    assert record["images_per_second"] > 0
    assert record["precision"] == str(choose_precision("auto", "auto", nn.Linear(1, 1)))
    low, high = record["accuracy_95"]
    assert 0 <= low <= record["best"]["val/accuracy"] <= high <= 1
    assert (
        record["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in record["versions"]["torch"]
    )
    assert record["manifest"]["splits"]["train"]["count"] == 64
    assert "class_counts" not in record["manifest"]["splits"]["test"]


LOAD_CHECKPOINT = """
import sys, numpy as np, torch
from fer import load_checkpoint
loaded = load_checkpoint(sys.argv[1])
images, out = torch.from_numpy(np.load(sys.argv[2])), sys.argv[3]
with torch.inference_mode():
    np.save(out, loaded.model(images).numpy())
print(loaded.labels.names, {"hydra", "pytorch_lightning"} & set(sys.modules))
"""


def validation_images(config):
    data = read_dataset(config["datamodule"])
    rows = np.flatnonzero(data.split == data.split_names.index("val"))
    images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2)
    return to_float(images, config["model"]["image_size"]), data.targets[rows]


@pytest.mark.slow
def test_checkpoint_loads_without_hydra_and_lightning(tiny_run, tmp_path):
    run = tiny_run("model=resnet18", "attention=spatial", "trainer.limit_val_batches=1.0")
    images, targets = validation_images(yaml.safe_load((run.folder / "config.yaml").read_text()))
    np.save(tmp_path / "images.npy", images.numpy())
    paths = [run.folder / BEST, tmp_path / "images.npy", tmp_path / "logits.npy"]
    command = [sys.executable, "-c", LOAD_CHECKPOINT, *map(str, paths)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.strip() == f"{FER7.names} set()"
    preds = np.load(tmp_path / "logits.npy").argmax(1)
    assert np.mean(preds == targets) == pytest.approx(run.record["best"]["val/accuracy"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"not a checkpoint at all"])
def test_damaged_checkpoint_is_an_error(tmp_path, content):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(FerError, match=r"x\.ckpt"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_checkpoint_with_code_is_an_error(tmp_path):
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


@pytest.mark.slow
def test_overfits_one_batch(fer_train):
    overrides = (
        "datamodule.num_train=32",
        "datamodule.num_val=32",
        "datamodule.num_test=8",
        "augmentation=none",
    )
    run = fer_train(
        *overrides, "model=fast_cnn", "model.dropout=0", "trainer.max_epochs=40", "optimizer.lr=3e-3"
    )
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert float(rows[-1]["train/accuracy"]) == 1.0
    assert float(rows[-1]["train/loss"]) < 0.05


def test_nan_loss_stops_the_run_and_keeps_the_last_checkpoint(tiny_run, capsys, monkeypatch):
    from fer.training.module import EmotionModule

    step = EmotionModule.training_step
    monkeypatch.setattr(
        EmotionModule, "training_step",
        lambda self, batch, i: step(self, batch, i) * (float("nan") if self.current_epoch == 1 else 1.0),
    )  # fmt: skip
    run = tiny_run("trainer.max_epochs=3")
    assert run.status == 2
    assert "NaN or infinite at step 3 (epoch 2)" in capsys.readouterr().err
    assert run.record["status"] == "failed"
    assert load_checkpoint(run.folder / LAST).epoch == 1


def test_early_stopping(tiny_run):
    run = tiny_run(
        "trainer.max_epochs=9", "early_stopping_patience=2", "optimizer.lr=0", "scheduler=constant"
    )
    assert run.record["epochs"] == run.record["best"]["epoch"] + 2 < 9


def test_ema_weights_are_validated_and_saved(tiny_run):
    overrides = ("trainer.limit_val_batches=1.0", "trainer.limit_train_batches=1.0", "optimizer.lr=0.01")
    run = tiny_run("ema=true", "ema_decay=0.9", "trainer.max_epochs=3", "monitor=val/loss", *overrides)
    content = torch.load(run.folder / BEST, weights_only=True)
    averaged = load_checkpoint(run.folder / BEST).model
    images, targets = validation_images(content["hyper_parameters"]["config"])
    current = copy.deepcopy(averaged)
    weights = {name.removeprefix("model."): value for name, value in content["current_model_state"].items()}
    current.load_state_dict({name: weights[name] for name in current.state_dict()})
    losses = [loss_of(model.eval(), images, targets) for model in (averaged, current)]
    assert losses[0] == pytest.approx(run.record["best"]["val/loss"], rel=1e-4)
    assert losses[1] != pytest.approx(losses[0], rel=1e-3)


def loss_of(model, images, targets):
    with torch.inference_mode():
        return torch.nn.functional.cross_entropy(model(images), torch.from_numpy(targets)).item()


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        (("trainer.max_epochs=4",), [24] * 4 + [32] * 4),
        (("trainer.max_steps=6",), [24] * 3 + [32] * 3),
        (("trainer.max_steps=3", "trainer.accumulate_grad_batches=2", "trainer.limit_train_batches=4"),
         [24] * 4 + [32] * 2),
        (("trainer.max_steps=99", "trainer.max_epochs=2"), [24] * 2 + [32] * 2),
    ],
    ids=["epochs", "steps", "steps of two batches", "more steps than epochs"],
)  # fmt: skip
def test_progressive_sizes(overrides, sizes, tiny_run, monkeypatch, capsys):
    from fer.data.datamodule import EmotionDataModule

    seen = []
    size = EmotionDataModule.train_image_size
    monkeypatch.setattr(
        EmotionDataModule, "train_image_size", lambda self: seen.append(size(self)) or seen[-1]
    )
    run = tiny_run("progressive=[[0,24],[0.5,32]]", "trainer.max_epochs=9", *overrides)
    assert run.status == 0
    assert seen == sizes
    epochs = run.record["epochs"]
    output = capsys.readouterr().out
    assert f"epoch {epochs}/{epochs}  " in output
    # Before the first epoch, so that a run that is killed can be resumed.
    assert output.index(f"writing to {run.folder}\n") < output.index("epoch 1/")


def test_validation_loss_is_plain_cross_entropy(tiny_run):
    overrides = ("optimizer.lr=0", "trainer.limit_val_batches=1.0", "datamodule.eval_batch_size=5")
    plain = tiny_run(*overrides).record["best"]["val/loss"]
    weighted = tiny_run(*overrides, "imbalance=class_weights", "loss.label_smoothing=0.3").record["best"][
        "val/loss"
    ]
    assert weighted == pytest.approx(plain)


def test_monitor_of_an_unknown_emotion_is_an_error(tiny_run, capsys):
    run = tiny_run("monitor=val/f1/hapy")
    assert (run.status, run.folder) == (2, None)
    assert "Did you mean 'happy'?" in capsys.readouterr().err


def test_every_trainer_argument_is_an_option():
    import inspect

    import pytorch_lightning as pl

    from fer.core.paths import CONFIG_DIR

    options = yaml.safe_load((CONFIG_DIR / "trainer" / "default.yaml").read_text()).keys()
    set_in_code = {
        "self",
        "logger",
        "callbacks",
        "default_root_dir",
        "plugins",
        "model_registry",
        "enable_autolog_hparams",
        "use_distributed_sampler",
    }
    assert set(inspect.signature(pl.Trainer.__init__).parameters) - set_in_code == set(options)
