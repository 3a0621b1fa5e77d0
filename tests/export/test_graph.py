"""Preprocessing, calibration and layer order of the exported network."""

import copy

import pytest
import torch
from random_weights import random_network
from torch import nn

from fer.export.graph import ExportModel, reorder_pooling


def kinds(model):
    return [
        [type(layer) for layer in layers] for layers in model.modules() if isinstance(layers, nn.Sequential)
    ]


@pytest.fixture(scope="module")
def network():
    return random_network("fast_cnn", 48)


def test_pooling_moves_after_norm_and_relu_without_changing_outputs(network):
    images = torch.rand(8, 1, 48, 48)
    reordered = reorder_pooling(network)
    assert [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] in kinds(reordered)
    assert [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] not in kinds(network)
    with torch.inference_mode():
        torch.testing.assert_close(reordered(images), network(images), atol=1e-5, rtol=1e-5)


def test_a_norm_with_a_negative_scale_is_not_reordered(network):
    negated = copy.deepcopy(network)
    norm = next(module for module in negated.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[0] = -1.0
    first, *_ = [layers for layers in kinds(reorder_pooling(negated)) if nn.BatchNorm2d in layers]
    assert first[:4] == [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU]
    images = torch.rand(8, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(reorder_pooling(negated)(images), negated(images), atol=1e-5, rtol=1e-5)


def test_repeated_gray_is_unchanged(network):
    """Also for the gray levels whose luma is an integer only after rounding."""
    levels = torch.arange(256, dtype=torch.uint8).repeat_interleave(9).view(1, 48, 48, 1)
    (probs,) = ExportModel(network, True, 1.0, 48)(levels.expand(1, 48, 48, 3))
    with torch.inference_mode():
        expected = network(levels.permute(0, 3, 1, 2).float() / 255).softmax(1)
    torch.testing.assert_close(probs.detach(), expected, atol=1e-6, rtol=0)


def test_the_temperature_divides_the_logits(network):
    faces = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    (plain,), (cooled,) = (ExportModel(network, True, temperature, 48)(faces) for temperature in (1.0, 3.0))
    expected = (plain.log() / 3).softmax(1)
    torch.testing.assert_close(cooled, expected, atol=1e-6, rtol=1e-5)
