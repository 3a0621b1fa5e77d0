"""Registered models and attentions: options by signature, clear errors, and names that are taken."""

from typing import Any, Literal

import pytest
import torch
from torch import nn

from fer.core import registry
from fer.core.errors import FerError
from fer.models.backbone import Backbone
from fer.models.config import AttentionConfig, ModelConfig
from fer.models.factory import build_model
from fer.models.register import register_attention, register_model


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    """Forget what a test registers."""
    for kind in (registry.MODELS, registry.ATTENTIONS):
        monkeypatch.setattr(kind, "_entries", dict(kind._entries))


class Net(Backbone):
    def __init__(self, in_channels: int, width: int = 8, act: Literal["relu", "gelu"] = "relu") -> None:
        super().__init__()
        self.num_features, self.act = width, act
        self.conv = nn.Conv2d(in_channels, width, 8, stride=8)

    def forward(self, x):
        return self.conv(x).relu()


class Gate(nn.Module):
    def __init__(self, num_channels: int, strength: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((num_channels, 1, 1), strength))

    def forward(self, features):
        return features * self.scale


def test_a_registered_model_is_built_with_its_options():
    register_model("tiny_net")(Net)
    model = build_model({"name": "tiny_net", "kwargs": {"width": 12}}, 7, 1)
    assert model.backbone.num_features == 12
    # A subclass that defines only `forward` has `forward_features` as well.
    assert model(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_options_are_completed_and_checked_by_the_signature():
    register_model("tiny_net")(Net)
    assert ModelConfig.of("tiny_net").kwargs == {"width": 8, "act": "relu"}
    with pytest.raises(FerError, match=r"model\.kwargs\.width: expected an integer, got 'x'"):
        ModelConfig.from_dict({"name": "tiny_net", "kwargs": {"width": "x"}})
    with pytest.raises(
        FerError, match=r"model\.kwargs\.act: expected one of relu, gelu, got 'rely'. Did you"
    ):
        ModelConfig.from_dict({"name": "tiny_net", "kwargs": {"act": "rely"}})
    with pytest.raises(FerError, match=r"expected the keys width, act, got 'widht'. Did you mean 'width'"):
        ModelConfig.from_dict({"name": "tiny_net", "kwargs": {"widht": 3}})


def test_a_function_may_ask_for_the_image_size():
    @register_model("sized_net")
    def build(in_channels: int, image_size: int, width: int = 4) -> Backbone:
        return Net(in_channels, width=image_size // width)

    assert build_model({"name": "sized_net", "image_size": 32}, 7, 3).backbone.num_features == 8


def test_wrong_parts_are_one_clear_line():
    register_model("no_backbone")(lambda in_channels: nn.Conv2d(in_channels, 4, 3))
    with pytest.raises(
        FerError, match=r"model=no_backbone: expected .* to return a fer.Backbone, got a Conv2d"
    ):
        build_model("no_backbone", 7, 1)

    @register_model("wrong_features")
    class Wrong(Net):
        def __init__(self, in_channels: int) -> None:
            super().__init__(in_channels)
            self.num_features = 5

    with pytest.raises(FerError, match=r"num_features=5, got the shape \(1, 8, 6, 6\)"):
        build_model("wrong_features", 7, 1)
    with pytest.raises(FerError, match=r"optimizer.layer_decay: Net defines no layers"):
        Net(1).group_matcher()
    with pytest.raises(FerError, match="timm has one of this name"):
        register_model("resnet18")(Net)
    register_model("resnet34")(Net)
    with pytest.raises(FerError, match="timm has a model of this name"):
        build_model("resnet34", 7, 1)
    register_attention("no_module")(lambda num_channels: 3)
    with pytest.raises(FerError, match=r"attention=no_module: expected .* to return an nn.Module, got a int"):
        build_model("fast_cnn", 7, 1, "no_module")


def test_options_have_to_be_plain_values():
    with pytest.raises(
        FerError, match=r"build, layer: expected an annotation of a plain value .*, got Module"
    ):

        @register_model("net_of_layer")
        def build(in_channels: int, layer: nn.Module) -> Backbone: ...

    with pytest.raises(FerError, match=r"build, copy: expected another name of an option"):

        @register_model("net_with_copy")
        def build(in_channels: int, copy: bool = True) -> Backbone: ...

    @register_model("open_net")
    def build_open(in_channels: int, size: tuple[int, int] = (1, 2), **options: Any) -> Backbone: ...

    assert ModelConfig.of("open_net").kwargs == {"size": [1, 2]}


def test_a_registered_attention_is_a_choice():
    register_attention("gate")(Gate)
    assert AttentionConfig.of("gate").to_dict() == {"name": "gate", "strength": 1.0}
    model = build_model("fast_cnn", 7, 1, {"name": "gate", "strength": 0.5})
    assert model.attention.scale.unique().item() == 0.5


def test_a_name_of_the_package_is_taken():
    with pytest.raises(FerError, match=r"model 'fast_cnn': registered twice, by fer\.models\.cnn .* and by"):
        register_model("fast_cnn")(Net)
