"""Size and latency of a network that is not trained."""

import pytest
import torch

from fer.export.cost import measure_cost
from fer.models.config import AttentionConfig, ModelConfig


def network(**kwargs):
    return ModelConfig(name="fast_cnn", image_size=48, kwargs={"depths": [0, 0, 0, 0], **kwargs})


@pytest.fixture(scope="module")
def costs():
    attention = AttentionConfig.of("none")
    return [
        measure_cost(network(widths=widths), attention, 7, 1, 48)
        for widths in ([8, 8, 16, 16], [32, 64, 96, 192])
    ]


def test_size_is_that_of_the_weights(costs):
    from fer.models.factory import build_model, count_parameters

    small = count_parameters(build_model(network(widths=[8, 8, 16, 16]), 7, 1, "none"))
    large = count_parameters(build_model(network(widths=[32, 64, 96, 192]), 7, 1, "none"))
    measured = costs[1].megabytes - costs[0].megabytes
    # 4 bytes per parameter; biases are added by fusing norms
    assert measured == pytest.approx(4e-6 * (large - small), rel=0.02)


def test_a_larger_network_takes_longer(costs):
    assert 0 < costs[0].milliseconds < costs[1].milliseconds


def test_random_numbers_of_the_training_are_unchanged():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    measure_cost(network(widths=[8, 8, 8, 8]), AttentionConfig.of("none"), 7, 1, 48)
    assert torch.rand(1) == expected


def test_an_architecture_is_measured_once(costs):
    same = network(widths=[8, 8, 16, 16]).replace(dropout=0.5, freeze_epochs=2)
    assert measure_cost(same, AttentionConfig.of("none"), 7, 1, 48) is costs[0]
