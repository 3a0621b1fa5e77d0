"""FastCNN: output shapes, invariances, initialization and training."""

import pytest
import torch
from torch import nn

from fer.core.errors import FerError
from fer.models.cnn import FastBlock, FastCNN

SMALL = {"widths": (16, 32), "depths": (0, 1)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "cells"), [(24, 2), (36, 3), (40, 3), (48, 3), (64, 4)])
def test_output_shape(channels, size, cells):
    net = FastCNN(channels, widths=(16, 24, 32, 40), depths=(0, 0, 1, 0))
    features = net.forward_features(torch.rand(2, channels, size, size))
    assert features.shape == (2, net.num_features, cells, cells)
    assert net.num_features == 40
    assert cells == -(-size // net.stride)


def test_the_margin_is_ignored():
    net = FastCNN(**SMALL, margin=0.083).eval()
    image = torch.rand(2, 1, 48, 48)
    other = torch.rand(2, 1, 48, 48)
    other[..., 4:44, 4:44] = image[..., 4:44, 4:44]
    torch.testing.assert_close(net(other), net(image))
    other[..., 4, 4] += 1
    assert not torch.allclose(net(other), net(image))
    assert net(image).shape[-1] == 10


@pytest.mark.parametrize(
    ("stem_pool", "widths", "stride"), [(False, (8, 16, 32), 4), (False, (8,), 2), (True, (8,), 2)]
)
def test_stem_without_a_pool(stem_pool, widths, stride):
    net = FastCNN(1, widths, (0,) * len(widths), stem_pool=stem_pool).eval()
    assert net.stride == stride
    assert net(torch.rand(1, 1, 48, 48)).shape[-1] == 48 // stride


@pytest.mark.parametrize("margin", [-0.1, 0.5])
def test_margin_out_of_range(margin):
    with pytest.raises(FerError, match="margin"):
        FastCNN(**SMALL, margin=margin)


def test_new_block_is_the_identity():
    x = torch.rand(2, 8, 5, 5)  # not negative, so that the last ReLU does not change it
    torch.testing.assert_close(FastBlock(8).train()(x), x)


def test_output_is_invariant_to_brightness_and_contrast():
    net = FastCNN(**SMALL).eval()
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(net(0.5 * image + 0.3), net(image), atol=1e-3, rtol=1e-3)


def test_channels_last_gives_the_same_output():
    net = FastCNN(**SMALL).eval()
    image = torch.rand(2, 3, 32, 32)[:, :1]
    expected = net(image)
    net.to(memory_format=torch.channels_last)
    actual = net(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_every_parameter_gets_a_gradient():
    net = FastCNN(**SMALL)
    nn.init.ones_(net.stages[1][4].second[1].weight)  # at its initial zero the gradients before it are zero
    net(torch.rand(4, 1, 32, 32)).square().sum().backward()
    unused = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unused == []


def test_overfits_a_few_images():
    torch.manual_seed(0)
    model = nn.Sequential(FastCNN(**SMALL), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4))
    images, target = torch.rand(16, 1, 32, 32), torch.arange(16) % 4
    model(images)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2


def test_widths_and_depths_must_have_the_same_length():
    with pytest.raises(FerError, match=r"as many depths as widths, got widths \[16, 32\] and depths \[1\]"):
        FastCNN(widths=(16, 32), depths=(1,))
