"""The moving average of the weights against its sum written out."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer.errors import FerError
from fer.training.averaging import ExponentialAverage


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_it_is_the_weighted_mean_of_all_steps(decay):
    callback, net = ExponentialAverage(decay), nn.BatchNorm1d(3)
    average = deepcopy(net)
    seen = []
    for step in range(20):
        with torch.no_grad():
            net.weight.normal_(generator=torch.Generator().manual_seed(step))
        net(torch.randn(4, 3))  # counts a batch
        assert callback.should_update(step_idx=step)
        callback.move(list(zip(average.state_dict().values(), net.state_dict().values(), strict=True)))
        seen.append(net.weight.detach().double().clone())
    shares = torch.tensor([decay ** (19 - step) for step in range(20)], dtype=torch.float64)
    expected = (torch.stack(seen) * shares[:, None]).sum(0) / shares.sum()
    torch.testing.assert_close(average.weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert average.num_batches_tracked == 20
    assert not callback.should_update(epoch_idx=0)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_a_validation_leaves_the_average_as_it_was(kind):
    """Through a model in half precision it would come back rounded."""
    callback, net = ExponentialAverage(0.9), nn.Linear(3, 3).to(kind)
    callback._average_model = AveragedModel(nn.Linear(3, 3))
    before = [value.clone() for value in callback._average_model.module.parameters()]
    own = [value.clone() for value in net.parameters()]
    for _ in range(2):
        callback._swap_models(net)
        for value, average in zip(net.parameters(), before, strict=True):
            torch.testing.assert_close(value, average.to(kind), rtol=0, atol=0)
        callback._swap_models(net)
        for value, kept in zip(net.parameters(), own, strict=True):
            torch.testing.assert_close(value, kept, rtol=0, atol=0)
        for value, kept in zip(callback._average_model.module.parameters(), before, strict=True):
            torch.testing.assert_close(value, kept, rtol=0, atol=0)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, 1.5])
def test_no_decay(decay):
    with pytest.raises(FerError, match="ema_decay: expected a number between 0 and 1"):
        ExponentialAverage(decay)
