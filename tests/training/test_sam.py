import csv
import math

import numpy as np
import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from fer.core.errors import FerError
from fer.models.checkpoint import load_checkpoint
from fer.training.optim import SAM, build_optimizer
from fer.training.schedules import build_scheduler

X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.1


def regression():
    model = nn.Linear(3, 1, dtype=torch.float64)
    nn.init.constant_(model.weight, 0.3)
    nn.init.constant_(model.bias, -0.2)
    return model


def closure_of(model, optimizer, inputs=X, outputs=Y):
    def closure():
        loss = ((model(inputs)[:, 0] - outputs) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        return loss

    return closure


def test_step_of_linear_regression_agrees_with_numpy():
    model = regression()
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=0.5)
    loss = optimizer.step(closure_of(model, optimizer))

    inputs, outputs = np.hstack([X.numpy(), np.ones((12, 1))]), Y.numpy()
    weights = np.array([0.3, 0.3, 0.3, -0.2])

    def gradient(position):
        return 2 * inputs.T @ (inputs @ position - outputs) / 12

    first = gradient(weights)
    moved = weights + 0.5 * first / math.sqrt((first**2).sum())
    expected = weights - 0.1 * gradient(moved)
    np.testing.assert_allclose(model.weight.detach().numpy()[0], expected[:3])
    np.testing.assert_allclose(model.bias.detach().numpy(), expected[3:])
    assert loss.item() == pytest.approx(((inputs @ weights - outputs) ** 2).mean())


def test_weights_are_restored_exactly_before_the_base_step():
    model = regression().float()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.0), model, rho=10.0)
    optimizer.step(closure_of(model, optimizer, X.float(), Y.float()))
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_zero_gradient_is_not_a_division_by_zero():
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=0.05)
    optimizer.step(closure_of(model, optimizer, torch.zeros(4, 3).double(), torch.zeros(4).double()))
    assert model.weight.isfinite().all()


def test_frozen_weights_do_not_change():
    model = regression()
    model.bias.requires_grad_(False)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=0.5)
    optimizer.step(closure_of(model, optimizer))
    assert model.bias.item() == pytest.approx(-0.2)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, BatchNormAct2d])
def test_batch_norm_statistics_are_updated_in_the_first_pass_only(norm):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm(4), nn.Flatten(), nn.Linear(4 * 36, 1))
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), norm(4))
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k[0] in "01"})
    images, outputs = torch.rand(6, 1, 8, 8), torch.rand(6)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=1.0)
    optimizer.step(closure_of(model, optimizer, images, outputs))
    plain(images)
    for name, value in plain[1].named_buffers():
        torch.testing.assert_close(model[1].get_buffer(name), value)
    assert model[1].num_batches_tracked == 1
    assert model[1].track_running_stats


def test_state_is_restored_from_a_checkpoint(tmp_path):
    def train(model, optimizer, schedule, steps):
        for _ in range(steps):
            optimizer.step(closure_of(model, optimizer))
            schedule.step()

    def start():
        model = regression()
        config = {"name": "sam", "base": "adamw", "rho": 0.05, "lr": 0.05, "weight_decay": 0.01}
        optimizer = build_optimizer(model, config)
        schedule = {"name": "cosine", "warmup_share": 0.2, "final_share": 0.01}
        return model, optimizer, build_scheduler(optimizer, schedule, 10, 10, "val/loss")["scheduler"]

    full = start()
    train(*full, 10)
    before, after = start(), start()
    train(*before, 4)
    torch.save([part.state_dict() for part in before], tmp_path / "x.ckpt")
    for part, state in zip(after, torch.load(tmp_path / "x.ckpt", weights_only=True), strict=True):
        part.load_state_dict(state)
    train(*after, 6)
    assert torch.equal(after[0].weight, full[0].weight)
    assert after[1].param_groups[0]["lr"] == full[1].param_groups[0]["lr"] < 0.01


def test_batches_are_counted_once_and_gradients_clipped(tiny_run, monkeypatch):
    from fer.training.module import EmotionModule

    norms, passes = [], []
    step, epoch_metrics = EmotionModule.training_step, EmotionModule.epoch_metrics
    clip = EmotionModule.configure_gradient_clipping

    def record(self, *arguments, **options):
        clip(self, *arguments, **options)
        norms.append(nn.utils.get_total_norm([p.grad for p in self.model.parameters()]).item())

    monkeypatch.setattr(EmotionModule, "configure_gradient_clipping", record)
    monkeypatch.setattr(
        EmotionModule, "training_step", lambda self, batch, i: passes.append(i) or step(self, batch, i)
    )
    seen = []
    monkeypatch.setattr(
        EmotionModule,
        "epoch_metrics",
        lambda self, stage: seen.append((stage, self.sums[stage][2].item())) or epoch_metrics(self, stage),
    )
    run = tiny_run("optimizer=sam", "trainer.gradient_clip_val=0.01", "imbalance=class_weights")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert rows[0]["step"] == "2"
    assert passes == [0, 0, 1, 1]
    assert ("train", 32.0) in seen
    assert max(norms) <= 0.01 * (1 + 1e-4)


def test_both_passes_use_the_same_mixed_batch(tiny_run, monkeypatch):
    from fer.training.module import EmotionModule

    seen = []
    step = EmotionModule._shared_step
    monkeypatch.setattr(
        EmotionModule,
        "_shared_step",
        lambda self, image, target, stage: seen.append(image) or step(self, image, target, stage),
    )
    tiny_run("optimizer=sam", "mix=mixup", "augmentation=strong")
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])


def test_training_reduces_the_loss_and_saves_a_checkpoint(tiny_run):
    run = tiny_run(
        "optimizer=sam", "optimizer.base=sgd", "+optimizer.momentum=0.9", "optimizer.lr=0.02",
        "trainer.max_epochs=3", "model=fast_cnn", "scheduler=onecycle",
    )  # fmt: skip
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])
    assert load_checkpoint(run.folder / "checkpoints/last.ckpt").epoch == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"base": "adamq"}, "optimizer.base: expected an optimizer of timm, got 'adamq'. Did you mean 'adam"),
        ({"base": "sam"}, "optimizer.base: expected an optimizer of timm, got 'sam'"),
        ({"rho": 0.0}, "optimizer.rho: expected a number above 0"),
        ({"nonsense": 1}, "optimizer=adamw: invalid options.*nonsense"),
    ],
)
def test_bad_options(config, message):
    with pytest.raises(FerError, match=message):
        build_optimizer(regression(), {"name": "sam", "base": "adamw", "lr": 0.1, **config})


def test_missing_closure_is_explained():
    model = regression()
    with pytest.raises(FerError, match="expected bf16-mixed or 32-true with optimizer=sam, got 16-mixed"):
        SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=0.5).step()


def test_gradient_accumulation_is_an_error(tiny_run, capsys):
    assert tiny_run("optimizer=sam", "trainer.accumulate_grad_batches=2").status == 2
    assert "accumulate_grad_batches" in capsys.readouterr().err
