"""Stored configs whose plugins are not loaded: what is left for scores and exports."""

import pytest
import torch
import yaml

from fer.core.errors import FerError
from fer.training.config import RunConfig
from fer.training.plugin_use import without_unknown_training_parts

STORED = {
    "model": {"name": "fast_cnn"},
    "loss": {"name": "unheard_of", "epsilon": 2.0},
    "optimizer": {"name": "unheard_of", "lr": 0.1, "momentum": 0.5},
    "scheduler": {"name": "unheard_of", "power": 2.0},
    "augmentation": {"name": "unheard_of", "sigma": 0.1, "flip": 0.5},
    "callbacks": {"swa": {"start": 0.5}, "mine": {"name": "unheard_of"}},
    "monitor": "val/unheard_of",
    "plugins": ["not_installed.parts"],
    "seed": 3,
}


def test_training_parts_of_a_missing_plugin_are_left_out():
    config = RunConfig.from_dict(without_unknown_training_parts(STORED))
    assert (config.seed, config.loss.name, config.monitor) == (3, "cross_entropy", "val/accuracy")
    assert config.optimizer.to_dict()["momentum"] == 0.5
    assert config.callbacks.swa.start == 0.5
    assert not list(config.callbacks.registered())


def test_parts_of_the_network_are_not_left_out():
    stored = without_unknown_training_parts({**STORED, "attention": {"name": "unheard_of"}})
    with pytest.raises(FerError, match=r"attention=unheard_of needs a plugin .*: not_installed\.parts"):
        RunConfig.from_dict(stored)


def test_without_plugins_nothing_is_left_out():
    stored = {key: value for key, value in STORED.items() if key != "plugins"}
    assert without_unknown_training_parts(stored) == stored


@pytest.mark.usefixtures("exported_once", "no_plots")
def test_a_run_with_such_parts_is_scored_and_exported(run, fer_evaluate, fer_export):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {key: value for key, value in STORED.items() if key not in ("model", "seed")}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["config"] = config
    torch.save(content, path)
    assert fer_evaluate(run, "--split", "val")[0] == 0
    assert fer_export(run)[0] == 0
