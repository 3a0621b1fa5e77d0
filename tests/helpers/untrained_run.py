"""Write run folders like those of fer-train, with random weights instead of training."""

import json

import torch
import yaml

from fer.core import labels
from fer.core.labels import FER7
from fer.data.readers.factory import read_dataset
from fer.data.splits import hide_test_labels, manifest
from fer.models.factory import build_model

MODEL = {"name": "fast_cnn", "image_size": 48, "in_channels": None, "pretrained": False, "init_from": None,
         "freeze_epochs": 0, "stem": "auto", "dropout": 0.0,
         "kwargs": {"widths": [4, 8], "depths": [0, 0]}}  # fmt: skip


def write_run(outputs, datamodule, seed=0, space=FER7, name=None, trained_on=None, **config):
    """Write ``outputs/train/2026-11-22/NAME``; the seed determines the weights."""
    torch.manual_seed(seed)
    channels = 3 if datamodule.get("color") else 1
    model = build_model({**MODEL, **config.get("model", {})}, len(space), channels)
    folder = outputs / "train" / "2026-11-22" / (name or f"12-00-00_tiny_s{seed}_abcd")
    (folder / "checkpoints").mkdir(parents=True)
    config = {
        "seed": seed, "name": folder.name, "output_dir": str(outputs), "monitor": "val/accuracy",
        "model": MODEL, "attention": {"name": "none"}, "optimizer": {"name": "adamw", "lr": 0.001},
        "datamodule": {"batch_size": 16, "eval_batch_size": 32, **datamodule},
        "trainer": {"max_epochs": 1, "accelerator": "auto"}, "logger": {"wandb": None}, **config,
    }  # fmt: skip
    hparams = {
        "config": config,
        "labels": labels.to_dict(space),
        "image_channels": channels,
        "manifest": trained_on or manifest(hide_test_labels(read_dataset(datamodule))),
    }
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    content = {"hyper_parameters": hparams, "state_dict": weights, "epoch": 2}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "run.json").write_text(json.dumps({"status": "finished", "seed": seed}))
    return folder
