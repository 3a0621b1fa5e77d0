"""FLOPs of networks against published numbers, and that counting them changes nothing."""

import pytest
import torch
import torchvision
from torch import nn

from fer.training.run_facts import count_flops


def test_flops_are_two_for_each_multiplication_with_addition():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16 * 16, 5))
    assert count_flops(network, 3, 16) == 2 * (16 * 16 * 8 * 3 * 9 + 8 * 16 * 16 * 5)


@pytest.mark.slow
def test_resnet18_has_the_published_number():
    """1.814 GMACs at 224 px, as torchvision documents."""
    flops = torchvision.models.ResNet18_Weights.DEFAULT.meta["_ops"]
    assert count_flops(torchvision.models.resnet18(), 3, 224) == pytest.approx(2e9 * flops, rel=1e-3)


def test_counting_changes_neither_the_network_nor_the_random_numbers():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    count_flops(network, 1, 8)
    assert torch.rand(1) == expected
    assert [part.training for part in network] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
