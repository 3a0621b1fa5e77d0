import math

import pytest
import torch
from torch import nn

from fer.core.errors import FerError
from fer.models.factory import build_model
from fer.training.metrics import monitor_mode
from fer.training.optim import build_optimizer
from fer.training.schedules import build_scheduler


@pytest.fixture
def model():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(3))


def rates(schedule, steps):
    """Return the learning rate of each step, as Lightning steps the schedule."""
    optimizer = schedule["scheduler"].optimizer
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    return values


def make(name, steps=100, per_epoch=10, **options):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    return build_scheduler(optimizer, {"name": name, **options}, steps, per_epoch, "val/loss")


def test_norms_and_biases_have_no_weight_decay(model):
    model(torch.zeros(1, 1, 8, 8))
    optimizer = build_optimizer(model, {"name": "adamw", "lr": 1e-3, "weight_decay": 0.1})
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert all((decay[id(p)] > 0) == (p.ndim > 1) for p in model.parameters())
    assert len(decay) == len(list(model.parameters()))


def test_embeddings_of_a_transformer_have_no_weight_decay():
    model = build_model({"name": "test_vit"}, num_classes=7, image_channels=1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(model, {"name": "adamw", "lr": 1e-3, "weight_decay": 0.1}).param_groups
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert decay["backbone.model.pos_embed"] == decay["backbone.model.cls_token"] == 0
    assert decay["backbone.model.blocks.0.attn.qkv.weight"] == 0.1


def test_options_reach_the_optimizer(model):
    model(torch.zeros(1, 1, 8, 8))
    optimizer = build_optimizer(model, {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.7})
    assert optimizer.param_groups[0]["momentum"] == 0.7
    assert optimizer.param_groups[0]["nesterov"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "adamx", "lr": 1e-3}, "expected an optimizer of timm, got 'adamx'. Did you mean 'adam"),
        ({"name": "adamw", "lr": 1e-3, "momentun": 0.9}, "optimizer=adamw: invalid options.*momentun"),
        ({"name": "adamw", "lr": -1.0}, "optimizer.lr: expected a number of at least 0, got -1.0"),
    ],
)
def test_bad_optimizer(model, config, message):
    model(torch.zeros(1, 1, 8, 8))
    with pytest.raises(FerError, match=message):
        build_optimizer(model, config)


def test_constant():
    assert rates(make("constant"), 20) == [0.5] * 20


def test_step():
    values = rates(make("step", every_epochs=2, gamma=0.1), 41)
    assert values[19] == 0.5
    assert values[20] == pytest.approx(0.05)
    assert values[40] == pytest.approx(0.005)


def test_cosine_warms_up_and_ends_at_its_minimum():
    values = rates(make("cosine", warmup_share=0.1, final_share=0.01), 101)
    assert values[0] == pytest.approx(0.5 / 11)
    assert max(values) == pytest.approx(values[10]) == pytest.approx(0.5)
    middle = 0.005 + (0.5 - 0.005) * (1 + math.cos(math.pi / 2)) / 2
    assert values[55] == pytest.approx(middle)
    assert values[100] == pytest.approx(0.005)


def test_onecycle():
    options = {"warmup_share": 0.3, "anneal": "cos", "div_factor": 25.0, "final_div_factor": 1e4}
    values = rates(make("onecycle", **options), 100)
    assert values[0] == pytest.approx(0.5 / 25)
    assert max(values) == pytest.approx(0.5)
    assert 28 <= values.index(max(values)) <= 30
    assert values[-1] == pytest.approx(0.5 / 25 / 1e4)


def test_plateau_watches_the_monitor():
    schedule = make("plateau", factor=0.5, patience=1)
    assert (schedule["monitor"], schedule["interval"]) == ("val/loss", "epoch")
    for loss in (1.0, 1.0, 1.0):
        schedule["scheduler"].step(loss)
    assert schedule["scheduler"].optimizer.param_groups[0]["lr"] == 0.25


def test_unknown_schedule():
    with pytest.raises(FerError, match="Did you mean 'cosine'"):
        make("cosin")


def test_mode():
    assert [monitor_mode(f"val/{name}") for name in ("loss", "ece", "accuracy", "f1/sad")] == [
        "min",
        "min",
        "max",
        "max",
    ]


class Layers(nn.Module):
    """Three layers with one weight each; the last one is the head."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(3))

    def group_matcher(self, coarse=False):
        return {"blocks": r"^blocks\.(\d+)"}


SCHEDULE_OPTIONS = {
    "constant": {},
    "step": {"every_epochs": 2, "gamma": 0.1},
    "cosine": {"warmup_share": 0.1, "final_share": 0.2},
    "onecycle": {"warmup_share": 0.3, "anneal": "cos", "div_factor": 25.0, "final_div_factor": 1e4},
    "plateau": {"factor": 0.5, "patience": 9},
}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", SCHEDULE_OPTIONS)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb", "muon", "sam"])
def test_layer_decay_holds_throughout_every_schedule(name, optimizer):
    model = Layers()
    built = build_optimizer(model, {"name": optimizer, "lr": 0.1, "weight_decay": 0.0, "layer_decay": 0.5})
    schedule = build_scheduler(built, {"name": name, **SCHEDULE_OPTIONS[name]}, 50, 5, "val/loss")[
        "scheduler"
    ]
    for step in range(50):
        rate = {id(p): group["lr"] for group in built.param_groups for p in group["params"]}
        first, second, head = (rate[id(block.weight)] for block in model.blocks)
        assert (first, second) == pytest.approx((head * 0.25, head * 0.5))
        schedule.step(*([float(step)] if name == "plateau" else []))
    assert head > 0


@pytest.mark.parametrize("decay", [0.0, 1.5, "half", -1])
def test_bad_layer_decay(decay):
    with pytest.raises(FerError, match=r"optimizer\.layer_decay: expected a number in \(0, 1\] or null"):
        build_optimizer(Layers(), {"name": "adamw", "lr": 0.1, "layer_decay": decay})


@pytest.mark.parametrize("name", ["cosine", "onecycle"])
def test_schedules_of_a_given_length_need_a_number_of_steps(name):
    with pytest.raises(FerError, match=f"scheduler={name}: expected a Trainer with max_epochs or max_steps"):
        make(name, steps=math.inf)
