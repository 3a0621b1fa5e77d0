"""Every figure against scikit-learn, or a few lines of numpy where scikit-learn has none."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from fer.labels import FER7
from fer.metrics import build_metrics, scalars

AVERAGES = {"macro_f1": (sk.f1_score, "macro"), "uar": (sk.recall_score, "macro")}


@pytest.fixture(scope="module")
def scored():
    """Logits, targets and the metrics computed in uneven batches."""
    rng = np.random.default_rng(0)
    targets = rng.choice(7, size=1000, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17])
    logits = rng.normal(size=(1000, 7)) + 1.5 * np.eye(7)[targets]
    metrics = build_metrics(7)
    for part in np.array_split(np.arange(1000), 7):
        metrics.update(torch.tensor(logits[part]), torch.tensor(targets[part]))
    return logits, targets, metrics.compute()


def test_accuracy(scored):
    logits, targets, values = scored
    assert values["accuracy"].item() == pytest.approx(sk.accuracy_score(targets, logits.argmax(1)))


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_over_emotions(scored, name):
    logits, targets, values = scored
    score, average = AVERAGES[name]
    assert values[name].item() == pytest.approx(score(targets, logits.argmax(1), average=average))


def test_uar_is_balanced_accuracy(scored):
    logits, targets, values = scored
    assert values["uar"].item() == pytest.approx(sk.balanced_accuracy_score(targets, logits.argmax(1)))


def test_per_emotion_figures(scored):
    logits, targets, values = scored
    precision, recall, f1, _ = sk.precision_recall_fscore_support(targets, logits.argmax(1))
    for name, expected in {"precision": precision, "recall": recall, "f1": f1}.items():
        np.testing.assert_allclose(values[name].numpy(), expected, rtol=1e-5)


def test_confusion_has_true_emotions_in_rows(scored):
    logits, targets, values = scored
    np.testing.assert_array_equal(values["confusion"], sk.confusion_matrix(targets, logits.argmax(1)))


def test_ece_against_numpy(scored):
    logits, targets, values = scored
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = probs.max(1), probs.argmax(1) == targets
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)
    ]
    assert values["ece"].item() == pytest.approx(sum(gaps), abs=1e-5)


def test_means_leave_out_an_emotion_that_never_occurs():
    metrics = build_metrics(3)
    metrics.update(torch.eye(3)[[0, 1, 0]], torch.tensor([0, 1, 1]))
    assert metrics.compute()["uar"].item() == pytest.approx((1.0 + 0.5) / 2)


def test_names_of_logged_figures(scored):
    named = scalars(scored[2], FER7.names, "val")
    assert {"val/accuracy", "val/macro_f1", "val/uar", "val/ece"} <= named.keys()
    assert named["val/f1/happy"] == scored[2]["f1"][3]
    assert len(named) == 4 + 3 * 7
