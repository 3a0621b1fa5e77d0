import pytest
import timm.layers.cbam
import torch
from torch.nn import functional

from fer.errors import FerError
from fer.models.attention import SpatialAttention
from fer.models.factory import build_model


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_equals_the_formula(kernel_size):
    attention = SpatialAttention(kernel_size)
    features = torch.randn(2, 5, 6, 4)
    rows = []
    for picture in features:  # sigma(conv([mean; max])) of the paper, cell by cell
        maps = torch.stack([picture.sum(0) / 5, picture.sort(dim=0).values[-1]])
        padded = functional.pad(maps, [kernel_size // 2] * 4)
        windows = padded.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1)
        logits = torch.einsum("chwij,cij->hw", windows, attention.conv.weight[0])
        rows.append(picture / (1 + torch.exp(-logits)))
    torch.testing.assert_close(attention(features), torch.stack(rows))


def test_equals_timm_without_its_batch_norm():
    ours, theirs = SpatialAttention(7), timm.layers.cbam.SpatialAttn(7).eval()
    theirs.conv.conv.weight.data.copy_(ours.conv.weight.data)
    theirs.conv.bn.eps = 0.0  # running mean 0 and variance 1: with no epsilon it passes everything through
    features = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(ours(features), theirs(features))


def test_map_is_a_picture_of_the_mask_and_leaves_no_trace():
    model = build_model({"name": "test_resnet", "attention": {"name": "spatial"}}, 7, 1).train()
    model.backbone.model.bn1.eval()  # as frozen by hand
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.rand(2, 1, 48, 48)
    picture = model.attention_map(images, 96)
    assert picture.shape == (2, 96, 96)
    assert not picture.requires_grad
    assert 0.0 <= picture.min() < picture.max() <= 1.0
    assert model.training
    assert model.backbone.model.layer1.training
    assert not model.backbone.model.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_map_scales_the_features():
    model = build_model({"name": "test_resnet", "attention": {"name": "spatial"}}, 7, 1).eval()
    images = torch.rand(2, 1, 48, 48)
    bare = model.backbone.forward_features(model.preprocess(images))
    mask = model.attention_map(images, bare.shape[-1])
    torch.testing.assert_close(model.forward_features(images), bare * mask[:, None])


def test_no_attention_has_no_map():
    model = build_model({"name": "test_resnet"}, 7, 1)
    with pytest.raises(FerError, match="attention=spatial"):
        model.attention_map(torch.rand(1, 1, 48, 48), 48)
