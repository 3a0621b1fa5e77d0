import copy

import pytest
import timm.optim
import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import nn

from fer.training.muon import (
    COEFFICIENTS,
    Muon,
    orthogonalise,
    orthogonalise_all,
    orthogonalise_padded,
    padded_size,
)
from fer.training.optim import build_optimizer

OPTIONS = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9, "nesterov": True}


def net():
    torch.manual_seed(0)
    convs = [nn.Conv2d(*channels, size) for channels, size in (((3, 12), 3), ((12, 12), 3), ((12, 12), 3))]
    return nn.Sequential(*convs, nn.BatchNorm2d(12), nn.Conv2d(12, 12, 1), nn.Flatten(), nn.Linear(48, 7))


def train(model, optimizer, steps, seed=0):
    """Step with gradients that do not depend on the weights, so that rounding errors do not grow."""
    torch.manual_seed(seed)
    for _ in range(steps):
        for weight in model.parameters():
            weight.grad = torch.empty_like(weight).copy_(torch.randn(weight.shape))
        optimizer.step()
    return model


def max_difference(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 144), (2, 40, 9), (1, 1, 5)])
def test_iteration_agrees_with_timm_in_float64(shape):
    torch.manual_seed(0)
    stack = torch.randn(shape) * torch.logspace(0, -2, shape[-1])
    expected = zeropower_via_newtonschulz(stack.double(), 5, COEFFICIENTS, dtype=torch.float64)
    torch.testing.assert_close(orthogonalise(stack).double(), expected, atol=2e-4, rtol=0)


def test_one_padded_batch_gives_the_results_of_separate_matrices():
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in ((8, 72), (16, 144), (40, 9), (7, 16), (8, 72))]
    padded = orthogonalise_padded(matrices)
    for one, other, matrix in zip(padded, orthogonalise_all(matrices), matrices, strict=True):
        assert one.shape == matrix.shape
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert padded_size(matrices) == 5 * 16 * 144


def test_singular_values_are_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 32, 288)))
    assert 0.95 < values.min() < values.max() < 1.05


def test_zero_gradient_gives_a_zero_update():
    assert orthogonalise(torch.zeros(1, 4, 9)).abs().max() == 0


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_agree_with_timm(memory_format, nesterov):
    options = {**OPTIONS, "nesterov": nesterov}
    model = net().to(memory_format=memory_format)
    other, before = copy.deepcopy(model), copy.deepcopy(model)
    train(model, Muon(model.parameters(), **options), 4)
    train(other, timm.optim.Muon(other.parameters(), **options), 4)
    # timm computes in bfloat16
    assert max_difference(model, other) < 0.05 * max_difference(model, before)


def test_memory_format_does_not_change_the_step():
    contiguous, channels_last = net(), net().to(memory_format=torch.channels_last)
    for model in (contiguous, channels_last):
        train(model, Muon(model.parameters(), **OPTIONS), 4)
    assert max_difference(contiguous, channels_last) < 1e-4


def test_checkpoints_of_timm_can_be_loaded():
    model = net()
    optimizer = timm.optim.Muon(model.parameters(), **OPTIONS)
    train(model, optimizer, 2)
    other = copy.deepcopy(model)
    ours = Muon(other.parameters(), **OPTIONS)
    ours.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, 2, seed=1)
    before = copy.deepcopy(other)
    train(other, ours, 2, seed=1)
    assert ours.state_dict().keys() == optimizer.state_dict().keys()
    assert max_difference(model, other) < 0.05 * max_difference(other, before)


@pytest.mark.parametrize("options", [{"conv_mode": "batched"}, {"ns_steps": 3}, {"algo": "adamuon"}])
def test_other_iterations_use_the_step_of_timm(options):
    model = net()
    other = copy.deepcopy(model)
    train(model, Muon(model.parameters(), **OPTIONS, **options), 3)
    train(other, timm.optim.Muon(other.parameters(), **OPTIONS, **options), 3)
    assert max_difference(model, other) == 0


def test_build_optimizer_returns_our_muon():
    model = net()
    optimizer = build_optimizer(model, {"name": "muon", **OPTIONS})
    assert type(optimizer) is Muon
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}
    before = copy.deepcopy(model)
    train(model, optimizer, 2)
    assert all(not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


def test_closure_is_called_once_and_gradients_are_kept():
    model, calls = net(), []
    optimizer = Muon(model.parameters(), **OPTIONS)
    train(model, optimizer, 1)

    def closure():
        calls.append(torch.is_grad_enabled())
        return torch.tensor(3.0)

    assert optimizer.step(closure) == 3.0
    assert calls == [True]
    assert all(weight.grad is not None for weight in model.parameters())
