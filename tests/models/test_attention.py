"""Attention modules against their formulas and timm, and attention maps of models."""

import numpy as np
import pytest
import timm.layers
import timm.layers.cbam
import torch
from torch.nn import functional

from fer.core.errors import FerError
from fer.models.attention import (
    CBAM,
    AttentionHead,
    MultiHeadAttentionPool,
    SpatialAttention,
    build_attention,
)
from fer.models.factory import build_model

WITH_MASK = ["spatial", "cbam", "multi_head"]
ATTENTIONS = [*WITH_MASK, "squeeze_excitation"]


@pytest.fixture(autouse=True)
def seed_torch():
    torch.manual_seed(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_spatial_attention_equals_the_formula(kernel_size):
    attention = SpatialAttention(kernel_size)
    features = torch.randn(2, 5, 6, 4)
    rows = []
    # The paper's sigma(conv([mean; max])), cell by cell.
    for sample in features:
        maps = torch.stack([sample.sum(0) / 5, sample.sort(dim=0).values[-1]])
        padded = functional.pad(maps, [kernel_size // 2] * 4)
        windows = padded.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1)
        logits = torch.einsum("chwij,cij->hw", windows, attention.conv.weight[0])
        rows.append(sample / (1 + torch.exp(-logits)))
    torch.testing.assert_close(attention(features), torch.stack(rows))


def test_spatial_attention_equals_timm_without_its_batch_norm():
    attention, reference = SpatialAttention(7), timm.layers.cbam.SpatialAttn(7).eval()
    reference.conv.conv.weight.data.copy_(attention.conv.weight.data)
    # With running mean 0, variance 1 and no epsilon, the batch norm is the identity.
    reference.conv.bn.eps = 0.0
    features = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(attention(features), reference(features))


def test_cbam_equals_its_formula():
    cbam, features = CBAM(8, reduction=2, kernel_size=3).double(), torch.randn(2, 8, 5, 4).double()
    first, second = (
        getattr(cbam.channels, name).weight[:, :, 0, 0].detach().numpy() for name in ("fc1", "fc2")
    )
    x = features.numpy()

    def perceptron(vectors):
        return np.maximum(vectors @ first.T, 0) @ second.T

    x = x * sigmoid(perceptron(x.mean((2, 3))) + perceptron(x.max((2, 3))))[:, :, None, None]
    torch.testing.assert_close(cbam(features), cbam.places(torch.from_numpy(x)))
    torch.testing.assert_close(cbam.mask(features), cbam.places.mask(torch.from_numpy(x)))


def test_squeeze_excitation_equals_timm():
    attention, reference = (
        build_attention({"name": "squeeze_excitation", "reduction": 4}, 16),
        timm.layers.SEModule(16, 1 / 4, rd_divisor=1),
    )
    reference.load_state_dict(attention.state_dict())
    features = torch.randn(2, 16, 5, 4)
    torch.testing.assert_close(attention(features), reference(features))


def test_attention_head_equals_its_formula():
    head = AttentionHead(6, hidden_channels=3).double().eval()
    features = torch.randn(2, 6, 5, 4).double()
    norm = head.squeeze[1]
    norm.running_mean.normal_()
    hidden = torch.einsum("nchw,dc->ndhw", features, head.squeeze[0].weight[:, :, 0, 0])
    hidden = (hidden - norm.running_mean.view(3, 1, 1)) / (norm.running_var.view(3, 1, 1) + norm.eps).sqrt()
    # The sum of the three convolutions is one 3x3 convolution.
    kernel = head.windows[0].weight.clone()
    kernel[:, :, 1:2, :] += head.windows[1].weight
    kernel[:, :, :, 1:2] += head.windows[2].weight
    bias = sum(window.bias for window in head.windows)
    combined = functional.conv2d(hidden.relu(), kernel, bias, padding=1).relu()
    logits = torch.einsum("nchw,c->nhw", combined, head.place.weight[0, :, 0, 0]) + head.place.bias
    mask = 1 / (1 + torch.exp(-logits))
    torch.testing.assert_close(head.mask(features)[:, 0], mask)
    vector = (features * mask[:, None]).sum((2, 3)) / 20
    inner = (vector @ head.gate[0].weight.T + head.gate[0].bias).relu()
    gate = 1 / (1 + torch.exp(-(inner @ head.gate[2].weight.T + head.gate[2].bias)))
    torch.testing.assert_close(head(features), vector * gate)


def test_heads_are_averaged():
    pool, features = MultiHeadAttentionPool(6, num_heads=3, hidden_channels=2), torch.randn(4, 6, 5, 5)
    outputs = [head(features) for head in pool.heads]
    torch.testing.assert_close(pool(features), (outputs[0] + outputs[1] + outputs[2]) / 3)
    masks = [head.mask(features) for head in pool.heads]
    torch.testing.assert_close(pool.mask(features), sum(masks) / 3)


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("backbone", ["fast_cnn", "test_resnet", "test_vit"])
def test_every_parameter_gets_a_gradient(name, backbone):
    model = build_model({"name": backbone}, 7, 1, attention={"name": name})
    logits = model(torch.rand(4, 1, 48, 48))
    assert logits.shape == (4, 7)
    functional.cross_entropy(logits, torch.arange(4)).backward()
    added = [*model.attention.named_parameters(), *model.pool.named_parameters()]
    assert added
    assert [name for name, parameter in added if parameter.grad is None or not parameter.grad.any()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTENTIONS)
def test_other_sizes_and_export_with_a_dynamic_batch_size(name):
    model = build_model({"name": "test_resnet"}, 7, 1, attention={"name": name}).eval()
    assert model(torch.rand(1, 1, 64, 64)).shape == (1, 7)
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.rand(2, 1, 48, 48),), dynamic_shapes=({0: batch},))
    images = torch.rand(5, 1, 48, 48)
    torch.testing.assert_close(program.module()(images), model(images))


@pytest.mark.parametrize("name", ["cbam", "squeeze_excitation", "multi_head"])
def test_overfits_one_batch(name):
    config = {"name": "fast_cnn", "kwargs": {"widths": [16, 32], "depths": [0, 0]}}
    model = build_model({**config}, 7, 1, attention={"name": name})
    images, target = torch.rand(14, 1, 24, 24), torch.arange(14) % 7
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        loss = functional.cross_entropy(model(images), target)
        if loss < 0.1:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss is still {loss:.3f}")


@pytest.mark.parametrize("name", WITH_MASK)
def test_attention_map_has_the_image_size_and_does_not_change_the_model(name):
    model = build_model({"name": "test_resnet"}, 7, 1, attention={"name": name}).train()
    model.backbone.model.bn1.eval()  # as if frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.rand(2, 1, 48, 48)
    attention_map = model.attention_map(images, 96)
    assert attention_map.shape == (2, 96, 96)
    assert not attention_map.requires_grad
    assert 0.0 <= attention_map.min() < attention_map.max() <= 1.0
    assert model.training
    assert model.backbone.model.layer1.training
    assert not model.backbone.model.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_attention_map_scales_the_features():
    model = build_model({"name": "test_resnet"}, 7, 1, attention={"name": "spatial"}).eval()
    images = torch.rand(2, 1, 48, 48)
    unmasked = model.backbone.forward_features(model.preprocess(images))
    mask = model.attention_map(images, unmasked.shape[-1])
    torch.testing.assert_close(model.forward_features(images), unmasked * mask[:, None])


def test_attention_map_of_several_heads_is_their_mean():
    model = build_model({"name": "test_resnet"}, 7, 1, attention={"name": "multi_head"}).eval()
    images = torch.rand(2, 1, 48, 48)
    features = model.forward_features(images)
    mean = torch.stack([head.mask(features)[:, 0] for head in model.pool.heads]).mean(0)
    torch.testing.assert_close(model.attention_map(images, features.shape[-1]), mean)


@pytest.mark.parametrize("name", ["none", "squeeze_excitation"])
def test_no_attention_map_without_a_mask(name):
    model = build_model({"name": "test_resnet"}, 7, 1, attention={"name": name})
    with pytest.raises(FerError, match="attention=spatial, cbam or multi_head"):
        model.attention_map(torch.rand(1, 1, 48, 48), 48)


@pytest.mark.parametrize("name", WITH_MASK)
def test_spatial_attention_needs_more_than_one_cell(name):
    with pytest.raises(FerError, match=f"attention={name} needs a feature map"):
        build_model({"name": "test_efficientnet", "image_size": 16, "stem": "default"}, 7, 1, attention=name)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "cban"}, "Did you mean 'cbam'"),
        ({"name": "cbam", "kernel_size": 4}, "attention.kernel_size: expected an odd number"),
        (
            {"name": "cbam", "reduction": 0},
            "attention.reduction: expected an integer of at least 1, got 0",
        ),
        ({"name": "squeeze_excitation", "reduction": 2.5}, "attention.reduction"),
        (
            {"name": "multi_head", "num_heads": 1},
            "attention.num_heads: expected an integer of at least 2",
        ),
        (
            {"name": "multi_head", "kernel_size": 3},
            "expected the keys name, num_heads, reduction, got 'kernel_size'",
        ),
    ],
)
def test_bad_options(config, message):
    with pytest.raises(FerError, match=message):
        build_attention(config, 8)
