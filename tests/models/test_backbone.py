"""Feature maps of timm backbones: layout, grid and stem."""

import pytest
import timm
import torch
from torch import nn

from fer.core.errors import FerError
from fer.models.backbone import TimmBackbone
from fer.models.factory import build_model
from fer.models.timm_backbone import build_timm_backbone


class Tokens(nn.Module):
    """A stub transformer whose tokens are the means of its patches, which identifies their position."""

    def __init__(self, model):
        super().__init__()
        self.patch_embed = model.patch_embed
        self.num_prefix_tokens = model.num_prefix_tokens

    def forward(self, x):
        patches = nn.functional.avg_pool2d(x, self.patch_embed.patch_size).flatten(2).transpose(1, 2)
        return torch.cat([x.new_full((len(x), self.num_prefix_tokens, x.shape[1]), 9.0), patches], dim=1)


def test_tokens_are_reshaped_to_a_grid_that_is_not_square():
    vit = timm.create_model("test_vit", num_classes=0, global_pool="", img_size=(48, 80))
    backbone = TimmBackbone(Tokens(vit), (3, 48, 80))
    image = torch.rand(2, 3, 48, 80)
    assert backbone.grid == (3, 5)
    torch.testing.assert_close(backbone(image), nn.functional.avg_pool2d(image, 16))


def test_permuted_patches_permute_the_cells():
    vit = timm.create_model("test_vit", num_classes=0, global_pool="", img_size=(48, 80)).eval()
    vit.pos_embed.data.zero_()  # without position embeddings attention is permutation-equivariant
    backbone = TimmBackbone(vit, (3, 48, 80))
    image = torch.rand(1, 3, 48, 80)
    order = torch.randperm(15)
    cells = image.unfold(2, 16, 16).unfold(3, 16, 16).flatten(2, 3)[:, :, order].unflatten(2, (3, 5))
    shuffled = cells.permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 48, 80)
    expected = backbone(image).flatten(2)[:, :, order].unflatten(2, (3, 5))
    torch.testing.assert_close(backbone(shuffled), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["test_mambaout", "test_convnext", "test_efficientnet", "test_vit", "test_resnet"]
)
def test_feature_map_equals_timms(name):
    backbone = build_timm_backbone(name, 64, 3, stem="default").eval()
    image = torch.rand(1, 3, 64, 64)
    features = backbone(image)
    assert features.shape == (1, backbone.num_features, *backbone.grid)
    output = backbone.model(image)
    prefix = getattr(backbone.model, "num_prefix_tokens", 0)
    rows = {"test_mambaout": lambda: output.flatten(1, 2), "test_vit": lambda: output[:, prefix:]}
    expected = rows.get(name, lambda: output.flatten(2).transpose(1, 2))()
    torch.testing.assert_close(features.flatten(2).transpose(1, 2), expected)


def test_swin_is_channels_last():
    kwargs = {"embed_dim": 16, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4}
    backbone = build_timm_backbone("swin_tiny_patch4_window7_224", 48, 1, kwargs=kwargs)
    assert backbone.num_features == 32
    assert backbone(torch.rand(2, 1, 48, 48)).shape == (2, 32, 6, 6)


def test_model_without_a_feature_map_keeps_its_pooling():
    config = {"name": "xcit_nano_12_p16_224", "kwargs": {"depth": 1, "embed_dim": 32}}
    model = build_model(config, num_classes=7, image_channels=1).eval()
    images = torch.rand(2, 1, 48, 48)
    pooled = model.backbone.model(model.preprocess(images))
    assert model.backbone.is_pooled
    torch.testing.assert_close(model(images), model.head(pooled))
    with pytest.raises(FerError, match="one cell"):
        build_model({**config}, num_classes=7, image_channels=1, attention={"name": "spatial"})


@pytest.mark.parametrize(
    ("name", "stem", "size", "cells"),
    [
        ("resnet10t", "default", 48, 2),
        ("resnet10t", "unpooled", 48, 3),
        ("resnet10t", "small", 48, 6),
        ("resnet10t", "auto", 32, 4),
        ("resnet10t", "auto", 48, 3),
        ("resnet10t", "auto", 64, 4),
        ("resnet10t", "auto", 96, 3),
        ("resnet10t", "small", 96, 12),
        ("test_efficientnet", "auto", 48, 3),
        ("test_efficientnet", "default", 48, 2),
    ],
)
def test_stem_determines_the_grid(name, stem, size, cells):
    assert build_timm_backbone(name, size, 1, stem=stem).grid == (cells, cells)


def test_small_stem_keeps_keys_and_shapes():
    small, default = (build_timm_backbone("resnet10t", 48, 3, stem=stem) for stem in ("small", "default"))
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (small, default)]
    assert shapes[0] == shapes[1]
