"""Data sets of several sources with different emotions: the loss, the metrics of each source, a run."""

import math

import pytest
import torch
from tiny import TINY

from fer.core.errors import FerError
from fer.training.distill import Distilled, distillation_loss, soften
from fer.training.loss_factory import build_target
from fer.training.losses import CrossEntropy
from fer.training.recipe import DistillConfig
from fer.training.sources import SourceAdjusted, SourceMetrics, check_sources, source_offsets

COUNTS = [[30, 10, 60], [50, 0, 50]]


def test_offsets_are_the_log_ratio_of_the_priors():
    offsets = source_offsets(COUNTS, 0.5)
    # A missing emotion counts as one image.
    prior, first = 50 / 101, 60 / 100
    assert offsets[1, 2] == pytest.approx(math.log((0.5 * prior + 0.5 * first) / first), rel=1e-5)
    assert torch.equal(offsets[0], torch.zeros(3))
    assert torch.equal(source_offsets(COUNTS, 0), torch.zeros(2, 3))
    assert source_offsets(COUNTS, 1).isfinite().all()


def test_full_strength_teaches_nothing_about_emotions_that_a_source_lacks():
    logits = torch.zeros(1, 3, requires_grad=True)
    gradients = {}
    for strength in (0.001, 1):
        loss = SourceAdjusted(CrossEntropy(), [[5000, 5000, 5000], [5000, 0, 5000]], strength)
        target = build_target(loss, {"target": torch.tensor([0]), "source": torch.tensor([1])})
        (gradients[strength],) = torch.autograd.grad(loss(logits, target), logits)
    assert gradients[0.001][0, 1] > 0.3
    assert gradients[1][0, 1] < 0.001


def test_without_a_source_it_is_the_loss_itself():
    logits, label = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = SourceAdjusted(CrossEntropy(), COUNTS, 1)
    assert torch.equal(loss(logits, label), CrossEntropy()(logits, label))


def test_teachers_see_the_logits_without_the_adjustment():
    logits, label, source = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 0, 1])
    teacher = torch.randn(4, 3).softmax(1)
    labels_loss = SourceAdjusted(CrossEntropy(), COUNTS, 0.7)
    loss = Distilled(labels_loss, DistillConfig(teachers=["x"], weight=0.25, temperature=2))
    batch = {"target": label, "source": source, "teacher": teacher}
    adjusted = CrossEntropy()(logits + source_offsets(COUNTS, 0.7)[source], label)
    expected = 0.75 * adjusted + 0.25 * distillation_loss(logits, soften(teacher, 2), 2)
    assert loss(logits, build_target(loss, batch)) == pytest.approx(expected.item(), rel=1e-5)


def test_metrics_of_sources():
    metrics = SourceMetrics(["one", "none", "two"], 3)
    metrics.update(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0, 0, 2]))
    scores = {name: value.item() for name, value in metrics.compute().items()}
    assert scores == pytest.approx(
        {
            "val_source/accuracy/one": 2 / 3,
            "val_source/uar/one": 2 / 3,
            "val_source/accuracy/two": 1,
            "val_source/uar/two": 1,
            "val_source/mean_accuracy": 5 / 6,
            "val_source/mean_uar": 5 / 6,
        }
    )


def test_one_source_is_refused():
    with pytest.raises(FerError, match=r"loss\.source_adjustment: expected 0 for a data set of one source"):
        check_sources(0.5, None)


def test_a_run_logs_each_source_and_selects_by_their_mean(fer_train):
    faces = "num_train: 70, num_val: 35, num_test: 0, difficulty: 0"
    run = fer_train(
        *TINY,
        "datamodule=concat",
        f"datamodule.sources=[{{name: synthetic, {faces}}}, {{name: synthetic, {faces}, seed: 1}}]",
        "loss.source_adjustment=0.7",
        "monitor=val_source/mean_accuracy",
        "monitor_mode=max",
        "mix=mixup",
        "datamodule.eval_batch_size=128",
    )
    assert run.status == 0
    best = run.record["best"]
    sources = [best[f"val_source/accuracy/synthetic_{number}"] for number in (1, 2)]
    assert best["val_source/mean_accuracy"] == pytest.approx(sum(sources) / 2)
    checkpoint = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    counts = checkpoint["hyper_parameters"]["source_counts"]
    assert all(0 < sum(source) <= 70 for source in counts)


def test_a_run_of_one_source_is_refused(tiny_run, capsys):
    assert tiny_run("loss.source_adjustment=0.7").status == 2
    assert "loss.source_adjustment: expected 0 for a data set of one source" in capsys.readouterr().err
