"""Initial weights from checkpoints of other projects: nested state dicts and prefixes of wrappers."""

import argparse

import numpy as np
import pytest
import timm
import torch

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.models.config import ModelConfig
from fer.models.factory import build_model
from fer.models.pretrained import fit_names
from fer.training.transfer import load_initial_weights

NO_SPLITS = {"splits": {}}


def settings(name, path):
    return ModelConfig.from_dict({"name": name, "image_size": 48, "init_from": str(path)})


def build(name):
    return build_model(ModelConfig.from_dict({"name": name, "image_size": 48}), 7, 3)


LAYOUTS = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 0.1}},
    "module": lambda state: {f"module.{name}": value for name, value in state.items()},
    "module in net": lambda state: {"net": {f"module.{name}": value for name, value in state.items()}},
    "compiled": lambda state: {"model": {f"_orig_mod.module.{name}": v for name, v in state.items()}},
    "backbone and head": lambda state: {
        **{f"model.backbone.{name}": value for name, value in state.items()},
        "model.head.weight": torch.zeros(3, 5),
    },
    "other values": lambda state: {
        "model_state_dict": state,
        "best": np.float64(0.7),
        "args": argparse.Namespace(lr=0.1),
        "history": np.arange(3),
    },
}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_timm_weights(tmp_path, layout, suffix):
    source = timm.create_model("test_resnet", num_classes=8)
    path = tmp_path / f"best{suffix}"
    torch.save(LAYOUTS[layout](source.state_dict()), path)
    model = build("test_resnet")
    initial = load_initial_weights(model, settings("test_resnet", path), FER7, NO_SPLITS)
    assert initial is not None
    # Eight classes are not those of timm's weights.
    assert initial.record["data"] == []
    assert initial.messages == [
        f"model.init_from: {path}, weights of unknown training data; the head is newly initialised"
    ]
    loaded = model.backbone.model.state_dict()
    assert all(torch.equal(loaded[name], source.state_dict()[name]) for name in loaded)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_an_own_model(tmp_path, layout):
    source, model = build("fast_cnn"), build("fast_cnn")
    path = tmp_path / "best.pth"
    torch.save(LAYOUTS[layout](source.state_dict()), path)
    initial = load_initial_weights(model, settings("fast_cnn", path), FER7, NO_SPLITS)
    assert initial is not None
    assert initial.messages == [
        f"model.init_from: {path}, weights of unknown training data; the head is newly initialised"
    ]
    assert initial.record["data"] == []
    loaded, expected = model.backbone.state_dict(), source.backbone.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert not torch.equal(model.head.weight, source.head.weight)


def test_what_was_found_is_named(tmp_path):
    path = tmp_path / "best.pth"
    torch.save({"epoch": 3, "weights_of_mine": {"a": torch.zeros(2)}}, path)
    with pytest.raises(FerError, match=r"expected a weights file .*best\.pth .*got epoch, weights_of_mine"):
        load_initial_weights(build("test_resnet"), settings("test_resnet", path), FER7, NO_SPLITS)


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "best.pth"
    torch.save(build("fast_cnn"), path)
    with pytest.raises(FerError, match=r"expected a weights file .*Save model\.state_dict\(\)"):
        load_initial_weights(build("test_resnet"), settings("test_resnet", path), FER7, NO_SPLITS)


def test_names_that_fit_are_not_changed():
    state = {"model.a": torch.zeros(1), "model.b": torch.zeros(1)}
    assert fit_names(state, state).keys() == state.keys()
    assert fit_names(state, {"a": torch.zeros(1)}).keys() == {"a", "b"}
