"""Differences from the recorded accuracy: what rounding explains, and what it does not."""

import numpy as np
import pytest
import torch

from fer.analysis.about import About
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.evaluation.rounding import accuracy_change, rounding_tolerance
from fer.evaluation.score import softmax
from fer.training.run_record import RunRecord


def make_logits(margins, scale=8.0):
    """Return logits ``(N, 7)`` whose two largest differ by these margins."""
    logits = np.full((len(margins), 7), -4.0, np.float32)
    logits[:, 1] = scale
    logits[:, 4] = scale - np.asarray(margins)
    return logits


def make_predictions(logits, target, **about):
    facts = About(role="val", epoch=3, **about)
    rows = np.arange(len(target))
    return Predictions(FER7, rows, target, logits, softmax(logits), None, rows.astype(str), facts)


@pytest.mark.parametrize(
    ("near", "precision", "expected"),
    [(0, "bf16-mixed", 0), (1, "bf16-mixed", 1), (1, None, 1), (1, "32-true", 0), (1, "16-mixed", 0)],
)
def test_an_image_on_the_border_may_change(near, precision, expected):
    """The spacing of bf16 is 1/32 at 8, that of half precision 1/256."""
    margins = np.full(70, 5.0)
    margins[:near] = 1 / 32
    assert rounding_tolerance(make_logits(margins), precision) == expected


def test_changes_of_many_images_mostly_cancel():
    margins = np.r_[np.linspace(0, 4 / 32, 200), np.full(3000, 3.0)]
    assert 10 <= rounding_tolerance(make_logits(margins), "bf16-mixed") <= 20


def test_the_tolerance_covers_bf16():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, 64, bias=False) for _ in range(6)]
    for layer in layers:
        torch.nn.init.orthogonal_(layer.weight, gain=2**0.5)
    network = torch.nn.Sequential(*[part for layer in layers for part in (layer, torch.nn.ReLU())])
    network.append(torch.nn.Linear(64, 7))
    images, target = torch.randn(3000, 64), np.random.default_rng(0).integers(0, 7, 3000)
    with torch.inference_mode():
        exact = network(images).numpy()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = network(images).float().numpy()
    correct = [(logits.argmax(1) == target).sum() for logits in (exact, rounded)]
    assert (exact.argmax(1) != rounded.argmax(1)).any()
    assert abs(int(correct[0]) - int(correct[1])) <= rounding_tolerance(exact, "bf16-mixed") < 100


@pytest.mark.parametrize(("near", "changed"), [(1, False), (0, True)])
def test_one_image_of_seventy(near, changed):
    margins = np.full(70, 5.0)
    margins[:near] = 0.01
    target = np.full(70, 1)
    record = RunRecord(
        best={"epoch": 3, "val/accuracy": 69 / 70}, precision="bf16-mixed", validation_images=70
    )
    change = accuracy_change(make_predictions(make_logits(margins), target), record)
    assert (change is not None) == changed
    if change:
        assert (change.images, change.tolerance, change.now) == (1, 0, 1.0)


@pytest.mark.parametrize(
    "best", [{}, {"epoch": 2, "val/accuracy": 0.5}, {"epoch": 3, "val/accuracy": 1.0}, {"epoch": 3}]
)
def test_nothing_to_compare(best):
    predictions = make_predictions(make_logits(np.full(70, 5.0)), np.full(70, 1))
    assert accuracy_change(predictions, RunRecord(best=best)) is None


def test_a_part_of_the_images_is_not_compared():
    """As after trainer.limit_val_batches."""
    predictions = make_predictions(make_logits(np.full(70, 5.0)), np.full(70, 1))
    record = RunRecord(best={"epoch": 3, "val/accuracy": 0.5}, validation_images=32)
    assert accuracy_change(predictions, record) is None
