import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics

from fer.analysis.metrics.classification import accuracy_estimate, confusion_counts, score
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.evaluation.sections.scores import scores_section

NAMES = FER7.names


def targets_and_probs(n=400, num_classes=7, seed=0, skill=1.5):
    """Return targets, with class 1 rare, and probabilities of an imperfect model."""
    rng = np.random.default_rng(seed)
    weights = np.ones(num_classes)
    weights[1] = 0.15
    target = rng.choice(num_classes, n, p=weights / weights.sum())
    logits = rng.normal(size=(n, num_classes)) + skill * np.eye(num_classes)[target]
    return target, softmax(logits, 1)


def test_scores_match_sklearn():
    target, probs = targets_and_probs()
    preds, scores = probs.argmax(1), score(*targets_and_probs(), NAMES, resamples=50)
    expected = {
        "accuracy": metrics.accuracy_score(target, preds),
        "uar": metrics.balanced_accuracy_score(target, preds),
        "macro_f1": metrics.f1_score(target, preds, average="macro"),
        "weighted_f1": metrics.f1_score(target, preds, average="weighted"),
        "kappa": metrics.cohen_kappa_score(target, preds),
        "top2": metrics.top_k_accuracy_score(target, probs, k=2),
        "log_loss": metrics.log_loss(target, probs),
        "brier": ((probs - np.eye(7)[target]) ** 2).sum(1).mean(),
        "auroc": metrics.roc_auc_score(target, probs, multi_class="ovr", average="macro"),
    }
    for k, name in enumerate(NAMES):
        expected[f"precision/{name}"] = metrics.precision_score(target, preds, average=None)[k]
        expected[f"recall/{name}"] = metrics.recall_score(target, preds, average=None)[k]
        expected[f"f1/{name}"] = metrics.f1_score(target, preds, average=None)[k]
        expected[f"auroc/{name}"] = metrics.roc_auc_score(target == k, probs[:, k])
    assert {name: scores[name].value for name in expected} == pytest.approx(expected)
    assert set(scores) == {*expected, "ece_mass", "ece_width"}


def test_n_is_the_number_of_images_behind_a_score():
    target, probs = targets_and_probs()
    scores = score(target, probs, NAMES, resamples=10)
    assert scores["accuracy"].n == 400
    assert scores["recall/disgust"].n == (target == 1).sum()
    assert scores["precision/disgust"].n == (probs.argmax(1) == 1).sum()


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy", "macro_f1", "top2", "recall/disgust"])
def test_intervals_match_a_plain_row_bootstrap(metric):
    target, probs = targets_and_probs()
    estimate = score(target, probs, NAMES, resamples=2000)[metric]
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(1000):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(target == k), (target == k).sum()) for k in range(7)]
        )
        draws.append(plain_score(metric, target[rows], probs[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert [estimate.low, estimate.high] == pytest.approx([low, high], abs=0.12 * (high - low))


def plain_score(metric, target, probs):
    preds = probs.argmax(1)
    if metric == "log_loss":
        return -np.log(probs[np.arange(len(target)), target]).mean()
    if metric == "brier":
        return ((probs - np.eye(7)[target]) ** 2).sum(1).mean()
    if metric == "top2":
        return (np.argsort(-probs, 1)[:, :2] == target[:, None]).any(1).mean()
    if metric == "recall/disgust":
        return (preds[target == 1] == 1).mean()
    if metric == "accuracy":
        return (preds == target).mean()
    hits = np.bincount(target[preds == target], minlength=7)
    return (2 * hits / (np.bincount(target, minlength=7) + np.bincount(preds, minlength=7))).mean()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 80), st.floats(0, 4))
def test_intervals_are_in_range_and_contain_the_value(seed, n, skill):
    for name, estimate in score(
        *targets_and_probs(n, 4, seed, skill), ["a", "b", "c", "d"], resamples=200
    ).items():
        if estimate.value is None or estimate.low is None:
            assert estimate.note, name
            continue
        if name.startswith(("accuracy", "top2", "recall", "ece", "auroc")):
            assert estimate.low <= estimate.value <= estimate.high, (name, estimate)
        assert estimate.low >= (-1 if name == "kappa" else 0)
        assert estimate.high <= (np.inf if name == "log_loss" else 2 if name == "brier" else 1)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 10**6))
def test_permuting_emotions_permutes_their_scores(order, seed):
    target, probs = targets_and_probs(60, 4, seed)
    names = np.array(["a", "b", "c", "d"])
    one = score(target, probs, list(names), resamples=20)
    other = score(np.argsort(order)[target], probs[:, order], list(names[order]), resamples=20)
    assert set(one) == set(other)
    for name, estimate in one.items():
        assert estimate.n == other[name].n
        assert estimate.value == pytest.approx(other[name].value), name


def test_an_emotion_without_images_is_undefined_with_a_note():
    target, probs = targets_and_probs()
    target[target == 1] = 0
    scores = score(target, probs, NAMES, resamples=50)
    for metric in ("precision", "recall", "f1", "auroc"):
        estimate = scores[f"{metric}/disgust"]
        assert (estimate.value, estimate.low, estimate.note) == (None, None, "no image of disgust")
    present = [k for k in range(7) if k != 1]
    expected = metrics.f1_score(target, probs.argmax(1), labels=present, average="macro")
    assert scores["macro_f1"].value == pytest.approx(expected)
    with warnings.catch_warnings():
        # sklearn warns that disgust is predicted but never true
        warnings.simplefilter("ignore")
        assert scores["uar"].value == pytest.approx(metrics.balanced_accuracy_score(target, probs.argmax(1)))
    assert scores["auroc"].note == scores["macro_f1"].note == "mean of 6 emotions: no image of disgust"


def test_an_emotion_never_predicted_has_no_precision_and_an_f1_of_0():
    target, probs = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    scores = score(target, probs, ["sad", "happy"], resamples=50)
    assert scores["precision/happy"].value is None
    assert "never predicted" in scores["precision/happy"].note
    assert scores["f1/happy"].value == 0.0
    assert scores["f1/happy"].low is None


def test_means_over_rare_emotions_have_no_interval():
    target = np.array([0] * 40 + [1] * 40 + [2] * 4)
    probs = np.random.default_rng(0).dirichlet(np.ones(3), 84)
    scores = score(target, probs, ("angry", "happy", "sad"), 200)
    for name in ("uar", "macro_f1"):
        assert (scores[name].low, scores[name].high) == (None, None)
        assert scores[name].note == "no interval: too few images (4 of sad)"
    assert scores["accuracy"].low is not None
    enough = score(np.append(target, 2), np.vstack([probs, probs[:1]]), ("angry", "happy", "sad"), 200)
    assert enough["uar"].low is not None


def test_few_correct_images_get_wilsons_interval():
    scores = score(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 0, 1]], ["sad", "happy"], resamples=50)
    recall = scores["recall/sad"]
    assert recall.value == recall.high == 1.0
    # Wilson's lower bound for 3 of 3: n / (n + z²)
    assert recall.low == pytest.approx(0.4385, abs=1e-4)
    assert scores["uar"].low is None
    assert scores["auroc"].low is None
    assert scores["auroc"].value == 1.0


def test_a_single_emotion_has_neither_kappa_nor_auroc():
    scores = score(np.zeros(5, int), np.tile([0.9, 0.1], (5, 1)), ["sad", "happy"], resamples=10)
    assert scores["kappa"].value is None
    assert scores["auroc"].value is None
    assert "one emotion" in scores["kappa"].note
    assert "one emotion" in scores["auroc"].note


def test_the_seed_determines_the_intervals():
    one, same, other = (score(*targets_and_probs(), NAMES, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one["accuracy"].low != other["accuracy"].low


@pytest.mark.parametrize(
    ("target", "probs", "message"),
    [
        (np.array([], int), np.zeros((0, 7)), "0 targets"),
        (np.zeros(3, int), np.full((3, 6), 1 / 6), "7 probabilities"),
        (np.array([0, -1]), np.full((2, 7), 1 / 7), "-1 to 0"),
        (np.array([0, 7]), np.full((2, 7), 1 / 7), "0 to 7"),
        (np.array([0]), np.ones((1, 7)), "sum to 1"),
        (np.array([0]), np.full((1, 7), np.nan), "sum to 1"),
    ],
)
def test_invalid_arrays_are_rejected(target, probs, message):
    with pytest.raises(FerError, match=message):
        score(target, probs, NAMES)


def test_section_shows_the_scores():
    target, probs = targets_and_probs()
    target[target == 1] = 0
    estimates = score(target, probs, NAMES, resamples=50)
    n = len(target)
    predictions = Predictions(FER7, np.arange(n), target, np.log(probs), probs, None, np.full(n, "x"))
    result = scores_section(predictions, estimates)
    overall, by_emotion = result.tables
    assert overall.rows[0][:2] == ("Accuracy", f"{100 * estimates['accuracy'].value:.1f} %")
    assert all(len(row) == len(table.columns) for table in result.tables for row in table.rows)
    assert by_emotion.rows[1] == ("disgust", 0, None, None, None, None)
    assert "no image of disgust" in result.paragraphs[1]
    assert result.numbers["accuracy"] is estimates["accuracy"]
    assert result.plots[0].png.startswith(b"\x89PNG")


def test_training_gives_accuracy_the_interval_of_a_report():
    rng = np.random.default_rng(7)
    target, probs = rng.integers(0, 7, 500), rng.dirichlet(np.ones(7), 500)
    counts = confusion_counts(target, probs.argmax(1), 7)
    assert accuracy_estimate(counts) == score(target, probs, FER7.names)["accuracy"]
