"""The exponential moving average of weights against its explicit weighted sum."""

from copy import deepcopy

import hydra
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from tiny import TINY, TINY_FACES
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer.core.errors import FerError
from fer.core.paths import CONFIG_DIR
from fer.models.checkpoint import load_checkpoint
from fer.training.averaging import ExponentialAverage
from fer.training.config import RunConfig
from fer.training.overrides import to_run_config
from fer.training.run import run


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_average_is_the_weighted_mean_of_all_steps(decay):
    callback, net = ExponentialAverage(decay), nn.BatchNorm1d(3)
    average = deepcopy(net)
    snapshots = []
    for step in range(20):
        with torch.no_grad():
            net.weight.normal_(generator=torch.Generator().manual_seed(step))
        # increments num_batches_tracked
        net(torch.randn(4, 3))
        pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
        callback.update_average(pairs, step + 1)
        snapshots.append(net.weight.detach().double().clone())
    decays = torch.tensor([decay ** (19 - step) for step in range(20)], dtype=torch.float64)
    expected = (torch.stack(snapshots) * decays[:, None]).sum(0) / decays.sum()
    torch.testing.assert_close(average.weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert average.num_batches_tracked == 20


class WeightRecorder(Callback):
    """Record the weights after each step."""

    def __init__(self):
        self.snapshots = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > len(self.snapshots):
            self.snapshots.append([value.detach().clone().double() for value in pl_module.parameters()])


@pytest.mark.parametrize("overrides", [(), ("trainer.accumulate_grad_batches=2",), ("optimizer=sam",)])
def test_training_updates_the_average_at_every_step(tmp_path, overrides):
    recorder = WeightRecorder()
    options = ("name=x", *TINY, *TINY_FACES, "trainer.limit_train_batches=4", "optimizer.lr=0.01", "ema=true")
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", [*options, "ema_decay=0.7", "trainer.max_epochs=2", *overrides])
    run(to_run_config(config), tmp_path, callbacks=(recorder,), quiet=True)
    steps = len(recorder.snapshots)
    assert steps == (4 if "accumulate" in str(overrides) else 8)
    decays = torch.tensor([0.7 ** (steps - 1 - step) for step in range(steps)], dtype=torch.float64)
    saved = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt").model
    for value, *snapshots in zip(saved.parameters(), *recorder.snapshots, strict=True):
        expected = (torch.stack(snapshots, -1) * decays).sum(-1) / decays.sum()
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_validation_does_not_change_the_average(dtype):
    """Swapped through a half-precision model it would be rounded."""
    callback, net = ExponentialAverage(0.9), nn.Linear(3, 3).to(dtype)
    callback._average_model = AveragedModel(nn.Linear(3, 3))
    callback.on_fit_start(None, net)
    before = [value.clone() for value in callback._average_model.module.parameters()]
    original = [value.clone() for value in net.parameters()]
    for _ in range(2):
        callback._swap_models(net)
        for value, average in zip(net.parameters(), before, strict=True):
            torch.testing.assert_close(value, average.to(dtype), rtol=0, atol=0)
        callback._swap_models(net)
        for value, expected in zip(net.parameters(), original, strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0)
        for value, expected in zip(callback._average_model.module.parameters(), before, strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, 1.5])
def test_decay_out_of_range(decay):
    with pytest.raises(FerError, match=r"ema_decay: expected a number in \(0, 1\)"):
        RunConfig(model={"name": "fast_cnn"}, ema_decay=decay)
