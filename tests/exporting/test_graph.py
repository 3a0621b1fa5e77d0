"""What the exported network does with pictures, and how it is put in order first."""

import copy

import pytest
import torch
from lively import lively
from torch import nn

from fer.exporting.graph import Deployed, streamlined


def kinds(model):
    return [
        [type(layer) for layer in layers] for layers in model.modules() if isinstance(layers, nn.Sequential)
    ]


@pytest.fixture(scope="module")
def network():
    return lively("fast_cnn", 48)


def test_pooling_goes_behind_norm_and_relu_and_changes_nothing(network):
    pictures = torch.rand(8, 1, 48, 48)
    better = streamlined(network)
    assert [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] in kinds(better)
    assert [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] not in kinds(network)
    with torch.inference_mode():
        torch.testing.assert_close(better(pictures), network(pictures), atol=1e-5, rtol=1e-5)


def test_a_norm_that_turns_around_stays_where_it_is(network):
    turned = copy.deepcopy(network)
    norm = next(module for module in turned.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[0] = -1.0
    first, *_ = [layers for layers in kinds(streamlined(turned)) if nn.BatchNorm2d in layers]
    assert first[:4] == [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU]
    pictures = torch.rand(8, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(streamlined(turned)(pictures), turned(pictures), atol=1e-5, rtol=1e-5)


def test_gray_repeated_three_times_is_the_same_gray(network):
    """Also for the 256 grays whose luma is a whole number only after rounding."""
    levels = torch.arange(256, dtype=torch.uint8).repeat_interleave(9).view(1, 48, 48, 1)
    (probs,) = Deployed(network, True, 1.0, 48)(levels.expand(1, 48, 48, 3))
    with torch.inference_mode():
        expected = network(levels.permute(0, 3, 1, 2).float() / 255).softmax(1)
    torch.testing.assert_close(probs.detach(), expected, atol=1e-6, rtol=0)


def test_a_higher_temperature_is_less_sure(network):
    faces = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    (plain,), (cooled,) = (Deployed(network, True, heat, 48)(faces) for heat in (1.0, 3.0))
    expected = (plain.log() / 3).softmax(1)
    torch.testing.assert_close(cooled, expected, atol=1e-6, rtol=1e-5)
